"""What can go wrong with a snapshot."""


class SnapshotError(Exception):
    """The text says what is wrong, where, and what was expected."""
