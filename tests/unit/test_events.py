import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.events import Event, EventLog, RunFiles, read_events

FIXED = {"v", "t_wall", "t_mono", "job", "attempt", "node", "rank", "kind"}
PATIENCE = 30.0  # seconds

times = st.floats(0, 4e9).map(lambda seconds: round(seconds, 6))
keys = st.text().filter(lambda key: key not in FIXED)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
events = st.builds(
    Event,
    kind=st.text(),
    t_wall=times,
    t_mono=times,
    job=st.text(),
    node=st.text(),
    attempt=st.none() | st.integers(0),
    rank=st.none() | st.integers(0),
    data=st.dictionaries(keys, values | st.lists(values), max_size=4),
)


@given(events)
def test_an_event_survives_its_line(event: Event) -> None:
    line = event.to_line()
    assert line.endswith("\n")
    assert len(line.split("\n")) == 2
    assert Event.from_line(line) == event


@given(st.lists(events, max_size=5))
def test_lines_in_a_file_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[Event]
) -> None:
    directory = tmp_path_factory.getbasetemp() / "read-back"  # one for all examples
    directory.mkdir(exist_ok=True)
    text = "".join(event.to_line() for event in written)
    (directory / "node0.ndjson").write_text(text, encoding="utf-8", newline="")
    assert list(read_events(directory)) == written


@given(events, st.data())
def test_a_torn_line_is_no_event(event: Event, data: st.DataObject) -> None:
    line = event.to_line().rstrip("\n")
    torn = line[: data.draw(st.integers(0, len(line) - 1))]
    with pytest.raises(ValueError):  # noqa: PT011  json's own message or ours
        Event.from_line(torn)


@given(st.text() | st.recursive(values, st.lists).map(json.dumps))
def test_foreign_text_is_refused_and_nothing_else_happens(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's own message or ours
        Event.from_line(line)


@pytest.mark.parametrize("change", [{"v": 2}, {"v": None}, {"rank": ...}, {"t_wall": ...}])
def test_another_version_and_missing_fields_are_refused(change: dict[str, Any]) -> None:
    record = json.loads(an_event().to_line()) | change
    line = json.dumps({name: value for name, value in record.items() if value is not ...})
    with pytest.raises(ValueError, match=r"not an event of version 1|event without"):
        Event.from_line(line)


def test_a_log_stamps_events_and_hands_their_lines_on() -> None:
    lines: list[str] = []
    log = EventLog("job-1", "node0", lines.append)
    event = log.emit("worker.exited", attempt=2, rank=5, status=-9)
    assert [Event.from_line(line) for line in lines] == [Event.from_line(event.to_line())]
    assert (event.job, event.node, event.attempt, event.rank) == ("job-1", "node0", 2, 5)
    assert event.data == {"status": -9}
    assert log.emit("later").t_mono >= event.t_mono


def an_event(t_wall: float = 1.0, node: str = "node0", **data: Any) -> Event:
    return Event("step", t_wall, t_wall, "job-1", node, data=data)


def write_events(directory: Path, *events: Event, tail: str = "") -> None:
    path = directory / f"{events[0].node}.ndjson"
    path.write_text("".join(event.to_line() for event in events) + tail)


def test_a_torn_last_line_is_skipped(tmp_path: Path) -> None:
    whole = an_event()
    write_events(tmp_path, whole, tail=an_event(2.0).to_line()[:-10])
    assert list(read_events(tmp_path)) == [whole]


def test_a_character_torn_in_the_middle_is_skipped(tmp_path: Path) -> None:
    whole = an_event()
    torn = an_event(cause="größe").to_line().encode().partition(b"\xc3")[0] + b"\xc3"
    (tmp_path / "node0.ndjson").write_bytes(whole.to_line().encode() + torn)
    assert list(read_events(tmp_path)) == [whole]


def test_foreign_lines_are_skipped(tmp_path: Path) -> None:
    first, last = an_event(1.0), an_event(2.0)
    foreign = ["", "17", "null", "[]", '{"v": 2}', "Traceback (most recent call last):", "\x00\x00"]
    text = "\n".join([first.to_line().rstrip(), *foreign, last.to_line()])
    (tmp_path / "node0.ndjson").write_text(text)
    assert list(read_events(tmp_path)) == [first, last]


def test_an_event_after_a_torn_line_is_not_lost_with_it(tmp_path: Path) -> None:
    write_events(tmp_path, an_event(1.0), tail='{"v": 1, "t_wa')
    files, errors = run_files()
    files.append(tmp_path / "node0.ndjson", an_event(2.0).to_line())
    assert files.close(PATIENCE)
    assert [event.t_wall for event in read_events(tmp_path)] == [1.0, 2.0]
    assert errors == []


def test_nodes_are_merged_by_time_and_each_keeps_its_order(tmp_path: Path) -> None:
    write_events(
        tmp_path, an_event(1.0, "a"), an_event(5.0, "a"), an_event(3.0, "a")
    )  # its clock was set back
    write_events(tmp_path, an_event(2.0, "b"), an_event(4.0, "b"), an_event(6.0, "b"))
    (tmp_path / "notes.txt").write_text(an_event(0.5, "c").to_line())
    merged = [(event.node, event.t_wall) for event in read_events(tmp_path)]
    assert merged == [("a", 1), ("b", 2), ("b", 4), ("a", 5), ("a", 3), ("b", 6)]


def test_no_files_hold_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path)) == []


def run_files() -> tuple[RunFiles, list[str]]:
    errors: list[str] = []
    return RunFiles(errors.append), errors


def test_files_are_appended_to_and_replaced_in_order(tmp_path: Path) -> None:
    lines, whole = tmp_path / "lines", tmp_path / "whole"
    lines.write_text("old\n")
    whole.write_text("old")
    files, errors = run_files()
    for number in range(100):
        files.append(lines, f"{number}\n")
        files.replace(whole, f"version {number}")
    assert files.close(PATIENCE)
    assert lines.read_text().split() == ["old", *map(str, range(100))]
    assert whole.read_text() == "version 99"
    assert sorted(os.listdir(tmp_path)) == ["lines", "whole"]
    assert errors == []


def test_new_files_are_their_owners_only(tmp_path: Path) -> None:
    files, _ = run_files()
    files.append(tmp_path / "lines", "one\n")
    files.replace(tmp_path / "whole", "two")
    assert files.close(PATIENCE)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "lines": 0o600,
        "whole": 0o600,
    }


def test_an_error_is_told_once_a_file_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("a file, no directory")
    missing, also_missing, fine = tmp_path / "no" / "lines", tmp_path / "no" / "whole", tmp_path / "fine"
    files, errors = run_files()
    for _ in range(3):
        files.append(missing, "lost\n")
        files.replace(also_missing, "lost")
        files.append(fine, "kept\n")
    assert files.close(PATIENCE)
    assert fine.read_text() == "kept\n" * 3
    assert len(errors) == 2
    assert str(missing) in errors[0]
    assert str(also_missing) in errors[1]
    assert "Not a directory" in errors[0]
    assert "File exists" in errors[1]  # where its directory was to be made


def test_a_file_can_be_written_again_once_its_directory_is_there(tmp_path: Path) -> None:
    path = tmp_path / "late" / "lines"
    first, _ = run_files()
    first.append(path, "lost\n")
    assert first.close(PATIENCE)
    path.parent.mkdir()
    second, errors = run_files()
    second.append(path, "kept\n")
    assert second.close(PATIENCE)
    assert path.read_text() == "kept\n"
    assert errors == []


@pytest.mark.parametrize("text", ["tokenizer.decode gave \udcff", "half an emoji: \ud83d"])
def test_text_that_is_no_unicode_stops_nothing(tmp_path: Path, text: str) -> None:
    """Messages of exceptions may hold lone surrogates."""
    path = tmp_path / "node0.ndjson"
    files, _ = run_files()
    files.append(path, an_event(1.0, cause=text).to_line())
    files.append(path, an_event(2.0).to_line())
    assert files.close(PATIENCE)
    assert [event.t_wall for event in read_events(tmp_path)] == [1.0, 2.0]
