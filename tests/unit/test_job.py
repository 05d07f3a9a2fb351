import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.job import (
    Command,
    ExitCode,
    RunDirectory,
    RunDirectoryError,
    Timeouts,
    Topology,
    describe_status,
    exit_code_of,
    format_duration,
    make_job_id,
    make_name,
    parse_duration,
    signal_name,
)

MINUTE, HOUR, DAY = 60, 3600, 86400
UNITS = {"ms": 0.001, "s": 1, "m": MINUTE, "h": HOUR, "d": DAY}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        ("2.5", 2.5),
        ("90s", 90),
        ("250ms", 0.25),
        ("1.5h", 1.5 * HOUR),
        ("1h30m", 1.5 * HOUR),
        ("2d4h", 2 * DAY + 4 * HOUR),
        (" 5M\n", 300),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1e3", "5 m", "5x", "s", "1.s", ".5", "1h30", "inf", "nan"]
)
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text.strip()))):
        parse_duration(text)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(number * UNITS[unit] for number, unit in parts))


@given(st.floats(0, 400 * DAY))
def test_a_formatted_duration_reads_back_to_the_precision_shown(seconds: float) -> None:
    # Half a unit where it is rounded; from a minute on, less than the smaller unit is cut off.
    error = 0.0005 if seconds < 1 else 0.05 if seconds < MINUTE else 1 if seconds < HOUR else MINUTE
    error = error if seconds < DAY else HOUR
    assert parse_duration(format_duration(seconds).replace(" ", "")) == pytest.approx(
        seconds, abs=error * 1.001
    )


@given(st.integers(0, 30), st.integers(0, 23))
def test_whole_hours_come_back_exactly(days: int, hours: int) -> None:
    seconds = days * DAY + hours * HOUR
    assert parse_duration(format_duration(seconds).replace(" ", "")) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 m"),
        (119.9, "1 m 59 s"),
        (HOUR, "1 h"),
        (HOUR + 59, "1 h"),
        (DAY + 59 * MINUTE, "1 d"),
        (400 * DAY, "400 d"),
        (0.9996, "1.0 s"),  # rounding reaches the next unit
        (59.97, "1 m"),
    ],
)
def test_the_two_largest_units_that_say_something(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (0, 0, "exited with code 0"),
        (42, 42, "exited with code 42"),
        (-9, 137, "was killed by SIGKILL"),
        (-15, 143, "was killed by SIGTERM"),
        (-33, 161, "was killed by signal 33"),
        (-37, 165, "was killed by SIGRTMIN+3"),
    ],
)
def test_what_a_status_means(status: int, code: int, words: str) -> None:
    assert exit_code_of(status) == code
    assert describe_status(status) == words


@given(st.integers(0, 255) | st.integers(-64, -1))
def test_every_status_has_a_shells_exit_code(status: int) -> None:
    code = exit_code_of(status)
    assert code == status if status >= 0 else code - 128 == -status


def test_own_codes_are_no_workers_signal_and_no_common_failure() -> None:
    own = [code for code in ExitCode if code is not ExitCode.OK]
    assert all(2 < code < 128 for code in own)


def test_all_signals_have_different_names() -> None:
    assert len({signal_name(number) for number in range(1, 65)}) == 64


PATHS = st.text() | st.text("./-_ ~a\n\0\\", max_size=100) | st.text("ab.-", min_size=60, max_size=70)


@given(PATHS)
def test_a_name_is_one_safe_path_component(text: str) -> None:
    name = make_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)
    assert len(name) <= 64
    assert make_name(name) == name


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=64))
def test_a_harmless_name_stays_as_it_is(text: str) -> None:
    assert make_name(text) == text


@given(PATHS, st.floats(0, 4e9))
def test_a_job_id_is_one_safe_path_component(text: str, now: float) -> None:
    job_id = make_job_id(text, now)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*-\d{8}-\d{6}", job_id)
    assert len(job_id.encode()) <= 255 - len("-999999")  # what tells runs of one second apart


def test_job_ids_sort_by_time() -> None:
    ids = [make_job_id("train", 1e9 + 7 * DAY * week) for week in range(60)]
    assert ids == sorted(ids)


def test_two_runs_of_one_second_have_directories_of_their_own(tmp_path: Path) -> None:
    runs = [RunDirectory.create(tmp_path / "new" / "runs", "train-1") for _ in range(3)]
    assert [run.job_id for run in runs] == ["train-1", "train-1-2", "train-1-3"]
    assert all(run.path == tmp_path / "new" / "runs" / run.job_id for run in runs)


def test_a_run_is_its_owners_only(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "train-1")
    for path in (run.path, run.path / "events"):
        assert path.stat().st_mode & 0o777 == 0o700


def test_where_everything_is(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "train-1")
    paths = [run.plan, run.result, run.events("node0"), run.attempt(2), run.log(2, "node0", 7)]
    assert [str(path.relative_to(run.path)) for path in paths] == [
        "plan.json",
        "result.json",
        "events/node0.ndjson",
        "attempt-2",
        "attempt-2/node0-rank7.log",
    ]


@pytest.mark.parametrize(
    ("base", "job_id", "reason"),
    [
        ("file/runs", "train", "Not a directory"),
        ("file", "train", "File exists"),
        ("runs", "x" * 300, "File name too long"),
        ("runs", "no/such/parent", "No such file"),
    ],
)
def test_where_it_cannot_be_made_is_said(tmp_path: Path, base: str, job_id: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match=reason) as caught:
        RunDirectory.create(tmp_path / base, job_id)
    assert str(tmp_path / base) in str(caught.value)


@given(st.integers(1, 64), st.integers(1, 64))
def test_the_ranks_of_all_nodes_are_all_ranks_once(nproc: int, nnodes: int) -> None:
    nodes = [Topology(nproc, nnodes, node) for node in range(nnodes)]
    ranks = [node.first_rank + local for node in nodes for local in range(nproc)]
    assert ranks == list(range(nodes[0].world_size))


def test_timeouts_are_not_negative() -> None:
    assert Timeouts(grace=0).grace == 0
    with pytest.raises(ValueError, match=r"--shutdown-timeout is -1\.5 s"):
        Timeouts(grace=-1.5)


def test_a_command_reads_as_it_was_written() -> None:
    command = Command("script", "train.py", ("--lr", "0.1"))
    assert str(command) == "train.py --lr 0.1"
    assert command.is_python
    assert Command("module", "pkg.train").is_python
    assert not Command("program", "./train").is_python
