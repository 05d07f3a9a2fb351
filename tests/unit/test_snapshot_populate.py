"""Pages that are mapped before they are read."""

import mmap
import threading

import pytest

from ma_training.snapshot import populate
from ma_training.snapshot.populate import Populating, address_of


def test_it_is_done_when_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, to the end, and once."""
    done: list[tuple[int, int, int]] = []

    class Libc:
        def madvise(self, at: int, size: int, advice: int) -> int:
            done.append((at, size, threading.get_ident()))
            return 0

    monkeypatch.setattr(populate, "_libc", Libc)
    with mmap.mmap(-1, populate.WORTH + mmap.PAGESIZE) as mapped, memoryview(mapped) as block:
        populating = Populating(block)
        populating.wait()
        populating.wait()
        assert done[0][0] == address_of(block)
        assert sum(size for _, size, _ in done) == len(block)
        assert {thread for _, _, thread in done}.isdisjoint({threading.get_ident()})


def test_a_kernel_that_refuses_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Libc:
        def madvise(self, at: int, size: int, advice: int) -> int:
            asked.append(at)
            return -1

    monkeypatch.setattr(populate, "_libc", Libc)
    with mmap.mmap(-1, populate.WORTH) as mapped, memoryview(mapped) as block:
        Populating(block).wait()
    assert len(asked) == 1


def test_real_pages_keep_their_content() -> None:
    with mmap.mmap(-1, populate.WORTH) as mapped, memoryview(mapped) as block:
        block[:3] = b"abc"
        Populating(block).wait()
        assert bytes(block[:3]) == b"abc"


@pytest.mark.parametrize("size", [1, populate.WORTH - 1])
def test_little_is_left_alone(size: int) -> None:
    before = threading.active_count()
    Populating(memoryview(bytearray(size))).wait()
    Populating(memoryview(bytes(size))).wait()  # read-only: its address is nobody's business
    assert threading.active_count() == before
