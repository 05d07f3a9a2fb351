"""``moxing.framework.file.file_io``: the constants that users set, and from where they come.

They may be assigned at any time; each copy looks at them anew. All of mox.file is found here as well.
"""

import os
from collections.abc import Mapping
from typing import Any

MOST_THREADS = 256

_LARGE_FILE_METHOD = 2  # of moxing's two ways; 1 or 2, there is one here
_NUMBER_OF_PROCESSES: int | None = None  # an upper limit to copy_parallel's threads
NUMBER_OF_PROCESSES: int | None = None


def number(name: str, default: int, environ: Mapping[str, str] = os.environ) -> int:
    """A variable's; raises ValueError where it is no whole number above zero."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}, and not a whole number of at least 1")
    return int(text)


# Bytes from which on a file is large: it is then read and written by _LARGE_FILE_TASK_NUM threads.
_PARTIAL_MAXIMUM_SIZE = number("MOX_FILE_PARTIAL_MAXIMUM_SIZE", 5 << 30)
# Bytes. Parts have 8 MiB here, or more where there would be too many.
_LARGE_FILE_PART_SIZE = number("MOX_FILE_LARGE_FILE_PART_SIZE", 10 << 20)
_LARGE_FILE_TASK_NUM = number("MOX_FILE_LARGE_FILE_TASK_NUM", 32)


def is_silent(environ: Mapping[str, str] = os.environ) -> bool:
    """Nothing is said of how a copy goes."""
    return environ.get("MOX_SILENT_MODE", "").lower() not in ("", "0", "false", "no", "off")


def threads_for_tree(threads: int) -> int:
    """0 is moxing's word for one after the other."""
    limits = [limit for limit in (_NUMBER_OF_PROCESSES, NUMBER_OF_PROCESSES) if limit]
    return max(1, min([int(threads), MOST_THREADS, *limits]))


def threads_for_file(size: int, threads: int = 16) -> int:
    """For the parts of one file of ``size`` bytes."""
    return max(1, min(_LARGE_FILE_TASK_NUM if size >= _PARTIAL_MAXIMUM_SIZE else threads, MOST_THREADS))


def __getattr__(name: str) -> Any:
    from . import file

    if name in file.__all__:
        return getattr(file, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
