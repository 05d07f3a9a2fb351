"""Maps the pages of a state before they are read: a first touch costs as much as the copy of a page does.

A thread does it while the reader is still busy with names and shapes; the call does not hold the GIL.
"""

import ctypes
import mmap
import threading
from _thread import start_new_thread
from functools import cache
from typing import Any

WORTH = 32 << 20  # bytes: for fewer a thread costs more than it gains
_POPULATE_READ = (
    22  # MADV_POPULATE_READ, Linux 5.14; an older one refuses, and pages come as they are touched
)
_PIECE = 4 << 20  # bytes a call


class Populating:
    """Of a block of mapped memory, from its start on. `wait` before the memory is unmapped."""

    def __init__(self, block: memoryview) -> None:
        self._at_work = threading.Lock()
        if block.nbytes >= WORTH and not block.readonly:
            self._at_work.acquire()
            # Thread.start() would wait until the new one has had its turn on a core.
            start_new_thread(self._populate, (address_of(block), block.nbytes))

    def wait(self) -> None:
        with self._at_work:
            pass

    def _populate(self, address: int, size: int) -> None:
        try:
            _populate(address, size)
        finally:
            self._at_work.release()


def address_of(block: memoryview) -> int:
    """Of its first byte, as long as what it is a view of lives. ``block`` is writable, and not empty."""
    return ctypes.addressof(ctypes.c_char.from_buffer(block))


def _populate(address: int, size: int) -> None:
    start, end = address // mmap.PAGESIZE * mmap.PAGESIZE, address + size
    for at in range(start, end, _PIECE):
        if _libc().madvise(at, min(_PIECE, end - at), _POPULATE_READ):
            return


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
