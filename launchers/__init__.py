"""Launching code that knows vendors, frameworks and schedulers by name."""
