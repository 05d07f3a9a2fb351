"""``modelarts.session``."""

from ma_training.compat.modelarts import Session

__all__ = ["Session"]
