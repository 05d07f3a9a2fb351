"""The toolkit under the launcher: what runs, watches, restarts and explains a training job."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .state import TrainingState

__all__ = ["TrainingState", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What scripts import is loaded when it is asked for: the launcher starts without it."""
    if name == "TrainingState":
        from .state import TrainingState

        return TrainingState
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
