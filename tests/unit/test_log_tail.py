"""The end of any log, fit for a terminal."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ma_training.observe.log_tail import LONGEST, clean, tail, tails


@given(st.text())
def test_no_line_acts_on_a_terminal(text: str) -> None:
    for line in text.split("\n"):
        cleaned = clean(line)
        assert all(
            character.isprintable() or character.isspace() or ord(character) > 159 for character in cleaned
        )
        assert "\x1b" not in cleaned
        assert len(cleaned) <= LONGEST


def test_colours_go_and_the_last_state_of_a_progress_bar_stays() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07text") == "red text"
    assert clean("10%\r20%\r30%") == "30%"
    assert clean("a\tb") == "a    b"


def test_tail_of_logs(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("one\n\ntwo\n" + "x" * 500)
    err.write_text("\n\n")
    assert tail(out, 2) == ["two", "x" * (LONGEST - 1) + "…"]
    assert tails([str(out), str(err)], 2) == tail(out, 2)  # stderr says nothing
    err.write_text("failed\n")
    assert tails([str(out), str(err)], 2) == ["failed"]
    assert tail(tmp_path / "missing", 2) == []
    out.write_bytes(b"\xff\xfe" * 100_000 + b"\nlast\n")
    assert tail(out, 1) == ["last"]
