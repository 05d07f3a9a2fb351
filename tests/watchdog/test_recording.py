import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.watchdog import DeviceEvidence, Evidence, Frame, Hang, RankEvidence, Stack, Watch
from ma_training.watchdog.recording import RecordingError, Stacks, decode, encode, header
from ma_training.watchdog.replay import replay

from .kinds import HANGS, Run, hung_at
from .world import watch

TIMES = st.floats(0, 1e9)
FRAMES = st.builds(Frame, st.text(max_size=5), st.text(max_size=5), st.integers(0, 9999))
RANKS = st.builds(RankEvidence, st.integers(0, 9), step_at=st.none() | TIMES, section=st.text(max_size=4))
DEVICES = st.builds(DeviceEvidence, st.integers(0, 9), st.sampled_from(["gpu", "npu"]), st.none() | TIMES)
STACKS = st.builds(
    Stack, st.integers(0, 9), st.lists(FRAMES, max_size=3).map(tuple), st.none() | st.booleans()
)
ENTRIES = st.one_of(
    st.builds(
        Evidence, TIMES, st.lists(RANKS, max_size=3).map(tuple), st.lists(DEVICES, max_size=2).map(tuple)
    ),
    st.builds(Stacks, TIMES, st.lists(STACKS, max_size=3).map(tuple)),
)
LINES = [
    header(kind="sleep"),
    encode(Evidence(1.0, (RankEvidence(0, 2, 3, 0.5, states="RS"),), (DeviceEvidence(0, "gpu", 3.0),))),
    encode(Stacks(1.2, (Stack(0, (Frame("f", "train.py", 3),), True, "all_reduce"),))),
]


@given(st.lists(ENTRIES, max_size=5))
def test_what_is_written_is_read(entries: list[Evidence | Stacks]) -> None:
    assert list(decode([header(), *map(encode, entries)])) == entries


def test_a_torn_last_line_is_left_out() -> None:
    for length in range(1, len(LINES[2])):
        assert len(list(decode([*LINES[:2], LINES[2][:length]]))) == 1


@given(st.integers(0, 2), st.data())
def test_damaged_lines_are_named_or_still_a_recording(number: int, data: st.DataObject) -> None:
    line = LINES[number]
    place = data.draw(st.integers(0, len(line) - 2))
    damaged = line[:place] + data.draw(st.characters(exclude_characters="\n")) + line[place + 1 :]
    try:
        told: object = len(list(decode([*LINES[:number], damaged, *LINES[number + 1 :]])))
    except RecordingError as error:
        told = str(error)
    assert told == 2 or str(told).startswith(f"line {number + 1} of a recording: found ")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], "without a header"),
        ([""], "without a header"),
        (["{}\n"], "found version None, expected 1"),
        ([header().replace("1", "2")], "found version 2, expected 1"),
        ([LINES[1]], "found version None"),
        ([header(), "[]\n"], "line 2 of a recording: found '\\[\\]"),
        ([header(), "garbage\n"], "expected JSON"),
        ([header(), "[" * 100_000 + "\n"], "expected JSON"),
        ([header(), '{"at":1}\n'], "found 'ranks', expected evidence or stacks"),
        ([header(), '{"at":"1","ranks":[]}\n'], "found at '1'"),
        ([header(), '{"at":1,"ranks":[{}]}\n'], "found no rank"),
        ([header(), '{"at":1,"ranks":[{"rank":0,"colour":1}]}\n'], "found an unknown field 'colour'"),
        ([header(), '{"at":1,"ranks":[{"rank":0,"steps":"7"}]}\n'], "found steps '7'"),
        ([header(), '{"at":1,"ranks":[{"rank":0,"steps":true}]}\n'], "found steps True"),
        ([header(), '{"at":1,"ranks":[7]}\n'], "expected evidence or stacks"),
        ([header(), '{"at":1,"stacks":[{"rank":0,"frames":[["f","x"]]}]}\n'], "expected evidence or stacks"),
    ],
)
def test_what_is_no_recording(lines: list[str], text: str) -> None:
    with pytest.raises(RecordingError, match=text):
        list(decode(lines))


def test_fields_that_have_their_default_take_no_room() -> None:
    assert json.loads(encode(Evidence(2.0, (RankEvidence(0),)))) == {"at": 2.0, "ranks": [{"rank": 0}]}


@pytest.mark.parametrize("kind", ["sleep", "SIGSTOP", "one rank skips a collective"])
def test_a_recorded_hang_is_found_again(kind: str) -> None:
    made = HANGS[kind](Run(5))
    seen = watch(made, hung_at(made) + 60)
    lines = [header(kind=kind), *map(encode, seen.recording)]
    again = list(replay(decode(lines), Watch()))
    assert [finding for _, finding in again] == [finding for _, finding in seen.findings]
    assert isinstance(again[-1][1], Hang)


def test_stacks_that_are_not_wanted_are_kept_from_the_watch() -> None:
    made = HANGS["sleep"](Run(5))
    seen = watch(made, hung_at(made) + 60)
    stacks = next(entry for entry in seen.recording if isinstance(entry, Stacks))
    often = itertools.chain.from_iterable(
        (entry, Stacks(entry.at, stacks.samples)) if isinstance(entry, Evidence) else (entry,)
        for entry in seen.recording[:20]
    )
    assert not list(replay(often, Watch()))
