"""When a leader has the say, and when it has it no more."""

from ma_training.coordination.leader import Leader, Phase
from ma_training.coordination.messages import (
    Done,
    Elsewhere,
    Hello,
    PortHeld,
    Slice,
    Standby,
    Stands,
    Terms,
    Vote,
    Welcome,
)
from ma_training.coordination.outputs import Output, Resign, Send
from ma_training.diagnosis import WorkerFailure

TERMS = Terms(3, 3, 0, 1, 3)


def hello(node: int) -> Hello:
    """Of an agent whose workers train in attempt 0, of three nodes, under node 0, which is gone."""
    last = Slice(1, 0, node, 3, "host0", 1234, "digest", leader="node0")
    return Hello(
        f"node{node}", f"host{node}", f"host{node}", TERMS, epoch=1, leader="x", last=last, running=True
    )


def said(outputs: list[Output]) -> list[type]:
    return [type(each.message) for each in outputs if isinstance(each, Send)]


def candidate() -> Leader:
    return Leader("job", TERMS, 60, 0.0, "name", epoch=2, successor=True, node="node1")


def test_a_candidate_does_not_lead_before_most_have_voted_for_it() -> None:
    leader = candidate()
    assert said(leader.joined(1, hello(1), 0.1)) == [Standby]
    leader.received(1, Vote(2), 0.1)
    assert not leader.leads
    leader.joined(2, hello(2), 0.2)
    assert said(leader.received(2, Vote(1), 0.2)) == []  # of another epoch
    assert not leader.leads
    assert said(leader.received(2, Vote(2), 0.3)) == [Welcome, Welcome]
    assert leader.leads and leader.leads_elsewhere


def test_a_candidate_that_too_few_want_resigns() -> None:
    leader = candidate()
    leader.joined(1, hello(1), 0.1)
    leader.received(1, Vote(2), 0.1)
    leader.received(1, Vote(2), 3.9)  # it is heard of; voting twice counts once
    outputs = leader.tick(4.2)
    assert any(isinstance(each, Resign) for each in outputs)
    assert not leader.leads


def test_one_that_points_elsewhere_does_not_lead_until_nobody_tells_it_any_more() -> None:
    leader = Leader("job", TERMS, 60, 0.0, "name", node="node0")
    assert leader.leads
    leader.joined(1, Hello("node0", "host0", "host0", TERMS), 0.1)
    assert said(leader.received(9, Elsewhere(5, "host1", 2345), 0.2)) == [Elsewhere]
    assert not leader.leads
    assert said(leader.joined(2, Hello("new", "host3", "host3", TERMS), 0.3)) == [Elsewhere]
    leader.tick(7.0)
    assert leader.leads


def hung(rank: int) -> dict[str, object]:
    return WorkerFailure(rank, 77, 1.0, note="hangs: all wait", hang="waiting").to_record()


def running(nodes: int) -> Leader:
    """A job of ``nodes``, whose first attempt runs."""
    leader = Leader("job", Terms(nodes, nodes, 0, 1, 3), 60, 0.0, "name", node="node0")
    for node in range(nodes):
        leader.joined(node, Hello(f"node{node}", f"host{node}", f"host{node}", leader_terms(nodes)), 0.1)
    leader.received(0, PortHeld(0, 4711), 0.2)
    assert leader.phase is Phase.RUNNING
    return leader


def leader_terms(nodes: int) -> Terms:
    return Terms(nodes, nodes, 0, 1, 3)


def test_a_job_hangs_when_all_nodes_wait_and_not_before() -> None:
    leader = running(3)
    assert said(leader.received(0, Stands(0, hung(0)), 9.0)) == []
    assert said(leader.received(1, Stands(0, hung(1)), 9.1)) == []
    assert said(leader.received(1, Stands(0, hung(1)), 14.1)) == []  # the same one again
    assert leader.phase is Phase.RUNNING  # node 2 may be at work
    leader.received(2, Stands(0, hung(2)), 15.0)
    assert leader.phase is Phase.STOPPING


def test_a_node_that_goes_on_waits_no_more() -> None:
    leader = running(2)
    leader.received(0, Stands(0, hung(0)), 9.0)
    leader.received(0, Stands(0, None), 10.0)
    leader.received(1, Stands(0, hung(1)), 11.0)
    assert leader.phase is Phase.RUNNING
    leader.received(0, Stands(0, hung(0)), 20.0)
    assert leader.phase is Phase.STOPPING


def test_a_node_whose_workers_have_ended_is_not_at_work() -> None:
    leader = running(2)
    leader.received(0, Done(0, (), 10), 9.0)
    leader.received(1, Stands(0, hung(1)), 20.0)
    assert leader.phase is Phase.STOPPING
