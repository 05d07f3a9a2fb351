"""moxing's ``mox.file``, on this project's storage; ``import moxing`` gives it under ``--compat moxing``.

moxing itself is closed. What is here is made from its documentation (docs/moxing.md says what differs).
"""

import warnings
from typing import Any, NoReturn

from . import file
from .file import __all__ as _of_file

__all__ = ["cache", "file"]
_HINT = "take that part of the script out, or run it where moxing itself is installed"
_LEFT_OUT = {
    "run": "mox.run trains by moxing's own loop, which is not rebuilt here",
    "tensorflow": "moxing.tensorflow is not rebuilt here",
    "mxnet": "moxing.mxnet is not rebuilt here",
    "pytorch": "moxing.pytorch is not rebuilt here",
    "framework": "moxing.framework has only file here",
}


def cache(*_: object, **__: object) -> None:
    """Says what moxing's did, and what to do instead."""
    warnings.warn(
        "mox.cache() does nothing here: mox.file's own writes always go to a local file first, and what "
        "TensorFlow itself writes to s3:// cannot be caught\n    hint: write summaries and checkpoints to a "
        "local directory, and call mox.file.background_sync_copy(directory, 'obs://bucket/...')",
        stacklevel=2,
    )


def explain(name: str) -> str:
    """Why there is no ``moxing.<name>``."""
    return f"{_LEFT_OUT[name]}: only mox.file is\n    hint: {_HINT}"


def refuse(module: str) -> NoReturn:
    """For a module that is not rebuilt: raises ImportError."""
    name = module.partition(".")[2] or module
    reason = explain(name) if name in _LEFT_OUT else f"{module} is not rebuilt here\n    hint: {_HINT}"
    raise ModuleNotFoundError(reason, name=module)


def __getattr__(name: str) -> Any:
    if name in _LEFT_OUT:
        raise AttributeError(explain(name))
    if name in _of_file:
        raise AttributeError(f"moxing has no {name!r}\n    hint: mox.file.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: only mox.file is rebuilt here")
