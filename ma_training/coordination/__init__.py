"""How the agents of a job agree: one leads, the others follow, over TCP."""
