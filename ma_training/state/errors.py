"""What goes wrong with a training state."""


class StateError(Exception):
    """The text says which part of the state, what was found, and what to do."""
