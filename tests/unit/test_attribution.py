import random

import pytest

from ma_training.diagnosis import WorkerFailure, root_cause

USER_ERROR = {"type": "ValueError", "message": "bad sample 17", "file": "/w/train.py", "line": 40}
PORT_TAKEN = (
    "The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, "
    "code: -98, name: EADDRINUSE, message: address already in use"
)
PORT_TAKEN_OLDER = (
    "The server socket has failed to listen on any local network address. The server socket has failed to "
    "bind to [::]:29500 (errno: 98 - Address already in use)."
)
LOST_PEER = {
    "type": "RuntimeError",
    "message": "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:2435",
}


def test_its_own_failure_comes_before_an_earlier_consequence() -> None:
    lost = WorkerFailure(0, 1, noticed=10.0, error=LOST_PEER, raised=9.9)
    own = WorkerFailure(1, 1, noticed=12.0, error=USER_ERROR, raised=11.0)
    assert root_cause([lost, own]) is own


def test_a_consequence_comes_before_what_we_stopped() -> None:
    stopped = WorkerFailure(0, -15, noticed=10.0, stopped_at=9.0)
    lost = WorkerFailure(1, 1, noticed=12.0, error=LOST_PEER)
    assert root_cause([stopped, lost]) is lost


def test_an_exception_under_way_when_we_stopped_it_is_the_cause() -> None:
    """Rank 0 raised, and its cleanup took long; rank 1 lost it, was noticed first, and rank 0 was stopped."""
    lost = WorkerFailure(1, 1, noticed=10.0, error=LOST_PEER, raised=9.9)
    cleaning_up = WorkerFailure(0, -9, noticed=40.1, stopped_at=10.1, error=USER_ERROR, raised=9.8)
    assert not cleaning_up.by_us
    assert root_cause([lost, cleaning_up]) is cleaning_up


def test_an_exception_after_we_stopped_it_is_not() -> None:
    raised_late = WorkerFailure(0, 1, noticed=12.0, stopped_at=10.1, error=USER_ERROR, raised=11.0)
    lost = WorkerFailure(1, 1, noticed=10.0, error=LOST_PEER, raised=9.9)
    assert raised_late.by_us
    assert root_cause([raised_late, lost]) is lost


def test_time_decides_within_a_class_and_rank_within_a_moment() -> None:
    failures = [
        WorkerFailure(3, 1, noticed=5.0, error=USER_ERROR, raised=4.0),
        WorkerFailure(2, 42, noticed=4.5),
        WorkerFailure(0, -11, noticed=4.75),
        WorkerFailure(1, -11, noticed=4.75),
    ]
    random.Random(0).shuffle(failures)
    order = []
    while failures:
        order.append(root_cause(failures))
        failures.remove(order[-1])
    assert [failure.rank for failure in order] == [3, 2, 0, 1]


def test_no_failure_has_no_cause() -> None:
    with pytest.raises(ValueError, match="empty"):
        root_cause([])


@pytest.mark.parametrize("message", [PORT_TAKEN, PORT_TAKEN_OLDER, "[Errno 98] Address already in use"])
def test_a_taken_port_is_bad_luck_only_before_the_first_step(message: str) -> None:
    error = {"type": "DistNetworkError", "message": message}
    assert WorkerFailure(0, 1, 1.0, error=error).port_taken
    assert WorkerFailure(0, 1, 1.0, error=error, steps=0).port_taken
    assert not WorkerFailure(0, 1, 1.0, error=error, steps=1).port_taken


def test_other_errors_are_no_taken_port() -> None:
    assert not WorkerFailure(0, 1, 1.0).port_taken
    assert not WorkerFailure(0, 1, 1.0, error=LOST_PEER).port_taken


@pytest.mark.parametrize(
    ("status", "external"),
    [(-9, True), (-15, True), (-2, True), (-1, True), (-11, False), (-6, False), (1, False)],
)
def test_signals_from_outside(status: int, external: bool) -> None:
    assert WorkerFailure(0, status, 1.0).external is external


def test_a_signal_with_a_reason_is_not_from_outside() -> None:
    assert not WorkerFailure(0, -9, 1.0, oom=True).external
    assert not WorkerFailure(0, -9, 1.0, error=USER_ERROR).external


def test_an_interrupt_from_outside_is_external_though_python_raises_it() -> None:
    error = {"type": "KeyboardInterrupt", "message": "", "file": "/w/train.py", "line": 40}
    assert WorkerFailure(0, -2, 1.0, error=error).external


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (WorkerFailure(0, 42, 5.0), 42),
        (WorkerFailure(0, -9, 5.0), 137),
        (WorkerFailure(0, -9, 5.0, error=USER_ERROR, raised=3.0), 137),
        (WorkerFailure(0, -9, 5.0, stopped_at=4.0), 137),
        (WorkerFailure(0, -15, 5.0, stopped_at=4.0, error=USER_ERROR, raised=3.0), 1),
        (WorkerFailure(0, -15, 5.0, stopped_at=4.0, error=USER_ERROR, raised=4.5), 143),
        (WorkerFailure(0, 7, 5.0, stopped_at=4.0, error=USER_ERROR, raised=3.0), 7),
    ],
)
def test_the_exit_code_is_that_of_an_exception_we_cut_short(failure: WorkerFailure, code: int) -> None:
    assert failure.exit_code == code


def test_one_place_and_type_is_one_cause_whatever_the_message() -> None:
    one = WorkerFailure(0, 1, 1.0, error={**USER_ERROR, "message": "at 0x7f00 on 10.0.0.1:4000"})
    two = WorkerFailure(3, 1, 9.0, error={**USER_ERROR, "message": "at 0x7fff on 10.0.0.9:4001"})
    assert one.fingerprint == two.fingerprint == "ValueError at /w/train.py:40"


@pytest.mark.parametrize(
    "other",
    [
        WorkerFailure(0, 1, 1.0, error={**USER_ERROR, "line": 41}),
        WorkerFailure(0, 1, 1.0, error={**USER_ERROR, "type": "KeyError"}),
        WorkerFailure(0, 1, 1.0),
        WorkerFailure(0, -9, 1.0),
        WorkerFailure(0, -9, 1.0, oom=True),
        WorkerFailure(0, 127, 1.0, note="could not be started: No such file or directory"),
    ],
)
def test_another_cause_has_another_fingerprint(other: WorkerFailure) -> None:
    assert other.fingerprint != WorkerFailure(0, 1, 1.0, error=USER_ERROR).fingerprint


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (WorkerFailure(0, 42, 1.0), "exited with code 42"),
        (WorkerFailure(0, -11, 1.0), "was killed by SIGSEGV"),
        (WorkerFailure(0, 3, 1.0, error={"type": "SystemExit", "message": "3"}), "exited with code 3"),
        (WorkerFailure(0, -9, 1.0, oom=True), "was killed by the kernel: out of memory"),
        (
            WorkerFailure(0, 126, 1.0, note="could not be started: x"),
            "could not be started: x",
        ),
        (WorkerFailure(0, 1, 1.0, error=USER_ERROR), "raised ValueError: bad sample 17"),
        (WorkerFailure(0, 1, 1.0, error={"type": "KeyError", "message": " \n"}), "raised KeyError"),
        (WorkerFailure(0, 1, 1.0, error={"type": "E", "message": "\nfirst\nsecond"}), "raised E: first"),
        (WorkerFailure(0, 1, 1.0, error={"type": "E", "message": "x" * 999}), "raised E: " + "x" * 297),
    ],
)
def test_what_is_said_of_it(failure: WorkerFailure, text: str) -> None:
    assert failure.describe() == text
