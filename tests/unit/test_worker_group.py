from signal import SIGINT, SIGTERM

from ma_training.agent.worker_group import Action, Do, State, WorkerGroup
from ma_training.job import Timeouts

TIMEOUTS = Timeouts(grace=8, dump=1, kill=16)


def running(*ranks: int, timeouts: Timeouts = TIMEOUTS) -> WorkerGroup:
    group = WorkerGroup(ranks, timeouts)
    for rank in ranks:
        group.spawned(rank)
    return group


def drive(group: WorkerGroup) -> list[tuple[float, Do, int]]:
    """What happens when the agent only ever does what it is asked to, and nothing answers."""
    done = []
    while not group.over:
        now = group.deadline
        assert now is not None
        actions = group.tick(now)
        assert actions, "called in vain"
        done += [(now, action.do, action.rank) for action in actions]
    return done


def test_stop_escalates_until_the_rank_is_abandoned() -> None:
    group = running(0)
    assert group.stop(100, SIGINT) == [Action(Do.SIGNAL, 0, SIGINT)]
    assert drive(group) == [(108, Do.DUMP, 0), (109, Do.KILL, 0), (125, Do.ABANDON, 0)]
    assert group.state(0) is State.ABANDONED
    assert group.deadline is None


def test_a_second_stop_signals_again_and_grants_no_more_time() -> None:
    group = running(0)
    group.stop(100)
    assert group.stop(105, SIGINT) == [Action(Do.SIGNAL, 0, SIGINT)]
    assert group.stopped_at(0) == 100
    assert group.deadline == 108


def test_a_rank_that_dies_of_the_stop_is_only_waited_for() -> None:
    group = running(0)
    group.stop(100)
    group.dying(0, 101)
    assert drive(group) == [(117, Do.ABANDON, 0)]


def test_what_outlives_a_stopped_worker_is_killed() -> None:
    group = running(0, 1)
    group.stop(100)
    group.dying(0, 101)
    assert group.exited(0, 102) == [Action(Do.KILL, 0)]
    assert group.exited(0, 103) == []
    group.gone(0)
    assert group.deadline == 108


def test_kill_has_no_patience() -> None:
    group = running(0, 1)
    group.stop(100)
    assert group.kill(101) == [Action(Do.KILL, 0), Action(Do.KILL, 1)]
    assert group.kill(102) == []
    assert group.stopped_at(0) == 100
    assert drive(group) == [(117, Do.ABANDON, 0), (117, Do.ABANDON, 1)]


def test_a_worker_that_ends_well_leaves_the_others_alone() -> None:
    group = running(0, 1)
    assert group.exited(0, 100) == [Action(Do.SIGNAL_TREE, 0, SIGTERM)]
    assert not group.stopping
    group.gone(0)
    assert group.state(1) is State.RUNNING
    assert group.deadline is None


def test_what_a_worker_leaves_running_has_the_grace_to_end() -> None:
    group = running(0)
    group.exited(0, 100)
    assert drive(group) == [(108, Do.KILL, 0), (124, Do.ABANDON, 0)]


def test_a_failure_kills_its_remains_and_stops_the_others() -> None:
    group = running(0, 1)
    group.exited(0, 100)
    assert group.failed(0, 100) == [Action(Do.KILL, 0), Action(Do.SIGNAL, 1, SIGTERM)]
    assert group.stopped_at(0) is None
    assert group.stopped_at(1) == 100


def test_a_consequence_asks_the_others_before_it_stops_them() -> None:
    group = running(0, 1, 2)
    group.dying(0, 100)
    assert group.failed(0, 100, settle=0.5) == [Action(Do.ASK, 1), Action(Do.ASK, 2)]
    assert group.deadline == 100.5
    assert group.tick(100.25) == []
    assert {action.do for action in group.tick(100.5)} == {Do.SIGNAL}
    assert group.stopped_at(2) == 100.5


def test_an_answer_ends_the_settling_early() -> None:
    group = running(0, 1)
    group.dying(0, 100)
    group.failed(0, 100, settle=0.5)
    assert group.settled(100.25) == [Action(Do.SIGNAL, 1, SIGTERM)]
    assert group.settled(100.25) == []


def test_a_second_consequence_neither_asks_again_nor_takes_longer() -> None:
    group = running(0, 1, 2)
    group.dying(0, 100)
    group.failed(0, 100, settle=0.5)
    group.dying(1, 100.25)
    assert group.failed(1, 100.25, settle=0.5) == []
    assert group.deadline == 100.5


def test_a_failure_of_its_own_ends_the_settling() -> None:
    group = running(0, 1, 2)
    group.dying(0, 100)
    group.failed(0, 100, settle=0.5)
    group.dying(1, 100.25)
    assert group.failed(1, 100.25) == [Action(Do.SIGNAL, 2, SIGTERM)]


def test_kill_ends_the_settling() -> None:
    group = running(0, 1)
    group.dying(0, 100)
    group.failed(0, 100, settle=0.5)
    group.kill(100.25)
    assert group.deadline == 116.25
    assert group.settled(100.25) == []


def test_time_in_which_the_job_stood_still_counts_for_nothing() -> None:
    group = running(0, 1)
    group.stop(100)
    group.exited(1, 101)
    group.shift(1000)
    assert drive(group) == [
        (1108, Do.DUMP, 0),
        (1109, Do.KILL, 0),
        (1117, Do.ABANDON, 1),
        (1125, Do.ABANDON, 0),
    ]
    assert group.stopped_at(0) == 100


def test_nothing_is_due_when_all_ended_while_settling() -> None:
    group = running(0)
    group.exited(0, 100)
    group.failed(0, 100, settle=0.5)
    group.gone(0)
    assert group.over
    assert group.deadline is None


def test_a_dying_rank_may_be_left_and_says_no_more() -> None:
    group = running(0)
    group.dying(0, 100)
    group.left(0)
    assert group.over
    assert group.exited(0, 101) == []
    group.gone(0)
    assert group.state(0) is State.LEFT
