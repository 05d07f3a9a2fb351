"""Marks before lines, whatever pieces they come in."""

from hypothesis import given
from hypothesis import strategies as st

from ma_training.agent.line_marker import HOLD, LONGEST, LineMarker, SharedConsole

PIECES = st.lists(st.text("ab \n", max_size=12).map(str.encode), max_size=30)


@given(PIECES)
def test_every_line_is_marked_once_and_nothing_is_lost(pieces: list[bytes]) -> None:
    marker = LineMarker(b"0| ", SharedConsole())
    shown = b"".join(marker.feed(piece, 0.0) for piece in pieces) + marker.rest()
    whole = b"".join(pieces)
    assert shown.replace(b"0| ", b"") == whole
    assert shown.count(b"0| ") == len(whole.splitlines())


@given(st.lists(st.tuples(st.integers(0, 2), st.text("ab\n", max_size=8).map(str.encode)), max_size=40))
def test_lines_of_several_ranks_are_each_their_own(pieces: list[tuple[int, bytes]]) -> None:
    console = SharedConsole()
    markers = [LineMarker(b"%d| " % rank, console) for rank in range(3)]
    shown = b"".join(markers[rank].feed(piece, 0.0) for rank, piece in pieces)
    shown += b"".join(marker.rest() for marker in markers)
    for rank in range(3):
        own = b"".join(piece for each, piece in pieces if each == rank)
        mark = b"%d| " % rank
        lines = [line.removeprefix(mark) for line in shown.splitlines() if line.startswith(mark)]
        assert lines == own.splitlines()


def test_an_unfinished_line_is_held_back_and_then_shown() -> None:
    marker = LineMarker(b"0| ", SharedConsole())
    assert marker.feed(b"prompt> ", 10.0) == b""
    assert marker.due(10.0 + HOLD / 2) == b""
    assert marker.due(10.0 + 2 * HOLD) == b"0| prompt> "
    assert marker.feed(b"answer\n", 11.0) == b"answer\n"  # goes on where it stands


def test_another_ranks_line_begins_anew() -> None:
    console = SharedConsole()
    one, two = LineMarker(b"0| ", console), LineMarker(b"1| ", console)
    one.feed(b"prompt> ", 0.0)
    assert one.due(HOLD) == b"0| prompt> "
    assert two.feed(b"line\n", 1.0) == b"\n1| line\n"
    assert one.feed(b"answer\n", 2.0) == b"0| answer\n"


def test_a_long_line_is_not_kept_in_memory() -> None:
    marker = LineMarker(b"0| ", SharedConsole())
    piece = b"x" * LONGEST
    assert marker.feed(piece, 0.0) == b""
    assert len(marker.feed(piece, 0.0)) == 2 * LONGEST + 3
    assert not marker.holds


def test_progress_bars_keep_their_mark() -> None:
    marker = LineMarker(b"0| ", SharedConsole())
    assert marker.feed(b"10%\r", 0.0) == b"0| 10%\r"
    assert marker.feed(b"20%\r30%\r", 0.0) == b"0| 20%\r0| 30%\r"
    assert marker.feed(b"done\r\n", 0.0) == b"0| done\n"


def test_filters_take_whole_lines() -> None:
    marker = LineMarker(b"", SharedConsole(), only=(b"loss",))
    assert marker.feed(b"step 1 lo", 0.0) == b""
    assert marker.due(100.0) == b""
    assert marker.feed(b"ss 3\nother\nloss 4\n", 101.0) == b"step 1 loss 3\nloss 4\n"
