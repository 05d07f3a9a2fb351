"""Keeps training state alive for its workers: the agent's side of snapshots and checkpoints."""
