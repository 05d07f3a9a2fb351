"""What a training script imports: its state, kept at each step and gone on from."""

from .errors import StateError
from .restoring import Restored
from .training_state import TrainingState

__all__ = ["Restored", "StateError", "TrainingState"]
