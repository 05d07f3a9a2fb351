"""One node's life: starts workers, sees them die, restarts them, leaves nothing behind."""
