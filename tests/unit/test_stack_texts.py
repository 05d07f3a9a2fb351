"""What py-spy, faulthandler and PyTorch's flight recorder write, whole and damaged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.watchdog import faulthandler_text, flight_recorder, pyspy
from ma_training.watchdog.evidence import Frame
from ma_training.watchdog.samples import own_part
from ma_training.watchdog.waiting import in_exit

FAULT = """\
Thread 0x00007fec7bfff6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait
  File "/job/io.py", line 12 in pump

Thread 0x00007fec84bd0740 [main] (most recent call first):
  File "/job/a "b".py", line 41 in __getitem__
  File "/job/train.py", line ??? in <module>
  File "/x/ma_training/agent/bootstrap.py", line 200 in _run_script
"""
SPIED = [
    {"os_thread_id": 7, "thread_name": "side", "owns_gil": False, "frames": []},
    {
        "os_thread_id": 4,
        "thread_name": "MainThread",
        "owns_gil": True,
        "frames": [
            {"name": "f", "filename": "/job/train.py", "line": 2},
            {"name": "read", "filename": "libc.so.6"},
        ],
    },
]


def entry(number: int, **fields: Any) -> dict[str, Any]:
    usual = {
        "collective_seq_id": number,
        "profiling_name": "gloo:all_reduce",
        "input_sizes": [[1024]],
        "input_dtypes": ["Float"],
        "is_p2p": False,
        "process_group": ["0", "default_pg"],
        "retired": True,
        "state": "scheduled",
    }
    return usual | fields


def test_faulthandler() -> None:
    side, main = faulthandler_text.parse(FAULT, 0x7FEC84BD0740)
    assert (side.main, main.main, main.name) == (False, True, "main")
    assert main.frames == (Frame("__getitem__", '/job/a "b".py', 41), Frame("<module>", "/job/train.py", 0))
    assert side.frames[1] == Frame("pump", "/job/io.py", 12)


def test_faulthandlers_last_thread_is_the_main_one_where_it_is_not_known() -> None:
    assert [thread.main for thread in faulthandler_text.parse(FAULT)] == [False, True]


def test_a_stack_that_faulthandler_cuts_short() -> None:
    """Its outer end is not known: it is not taken for an exit handler's."""
    (main,) = faulthandler_text.parse("".join(FAULT.splitlines(keepends=True)[:3]) + "  ...\n")
    assert [frame.function for frame in main.frames] == ["wait", "pump", "..."]
    assert not in_exit(main.frames)
    assert in_exit(main.frames[:2])


def test_py_spy() -> None:
    side, main = pyspy.parse(json.dumps(SPIED), 4)
    assert (side.main, main.main, main.owns_gil, main.number) == (False, True, True, 4)
    assert main.frames == (Frame("f", "/job/train.py", 2), Frame("read", "libc.so.6", 0))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"frames": 3}]', '[{"frames": [1]}]', "[{}]", "null"])
def test_what_py_spy_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)expect"):
        pyspy.parse(text, 4)


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("", "no word"),
        (
            "Error: Permission Denied\n\nReason: Operation not permitted (os error 1)",
            "it may not look (ptrace is not permitted)",
        ),
        (
            "Error: Failed.\n\nCaused by:\n    0: gone\n    1: os error 2\nStack backtrace:\n   0: E::y\n",
            "os error 2",
        ),
        (
            "Error: Failed to find python version from target process",
            "Failed to find python version from target process",
        ),
    ],
)
def test_why_py_spy_failed(text: str, gist: str) -> None:
    assert pyspy.reason(text) == gist


def test_the_flight_recorder() -> None:
    text = json.dumps({"entries": [entry(2, retired=False), entry(1), entry(9, is_p2p=True)]})
    calls = flight_recorder.parse(text)[""]
    assert [(call.number, call.done) for call in calls] == [(1, True), (2, False)]
    assert calls[0].words == "all_reduce of float32 [1024]"


@pytest.mark.parametrize("text", ["[]", "", '{"entries": 1}', '{"entries": [1]}'])
def test_what_torch_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)expect"):
        flight_recorder.parse(text)


WHOLE: list[tuple[str, Callable[[str], object]]] = [
    (FAULT, faulthandler_text.parse),
    (json.dumps(SPIED), lambda text: pyspy.parse(text, 4)),
    (json.dumps({"entries": [entry(1), entry(2, input_sizes=None)]}), flight_recorder.parse),
]


@given(st.sampled_from(WHOLE), st.data())
def test_damage_is_refused_or_survived(
    whole: tuple[str, Callable[[str], object]], data: st.DataObject
) -> None:
    """A text may be cut short, or have anything in the middle: ValueError is all that may come of it."""
    text, parse = whole
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    damaged = text[:begin] + data.draw(st.text(max_size=8)) + text[end:]
    try:
        parse(damaged)
    except ValueError:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "x", "default_pg", "a:b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*entry(1), "entries", "frames", "name", "filename", "line"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_json_of_any_form_is_refused_or_survived(value: object) -> None:
    for text in (json.dumps([value]), json.dumps({"entries": [value]}), json.dumps([{"frames": [value]}])):
        for _, parse in WHOLE[1:]:
            try:
                parse(text)
            except ValueError:
                pass


def test_a_fork_is_shown_without_where_its_parent_was() -> None:
    child = (
        Frame("__getitem__", "/job/data.py", 41),
        Frame("_launch", "/p/multiprocessing/popen_fork.py", 71),
    )
    assert own_part((*child, Frame("<module>", "/job/train.py", 88))) == child[:1]


def test_only_the_outer_end_is_the_launchers() -> None:
    ours = Frame("step", "/x/ma_training/agent/bootstrap.py", 9)
    users, native = Frame("<module>", "/job/train.py", 1), Frame("main", "libc.so.6", 0)
    runpy = Frame("_run_code", "<frozen runpy>", 88)
    assert own_part((ours, users, runpy, ours, native)) == (ours, users)
    assert own_part((users, native)) == (users, native)
