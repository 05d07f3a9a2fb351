"""State that goes straight into the tensors that are there, and what must not go that way."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ma_training import TrainingState
from ma_training.checkpoint import Mismatch
from ma_training.snapshot import JobDirectory, Segment
from ma_training.state import StateError
from ma_training.state.optimizer_fill import plan_for

from .test_training_state import agent, resume, same, train

__all__ = ["agent", "resume"]
pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("torch")]
Make = Callable[[Any], torch.optim.Optimizer]


def nets(make: Make, steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    optimizer = make(net.parameters())
    train(net, optimizer, steps)
    return net, optimizer


MAKES: dict[str, Make] = {
    "adam": lambda ps: torch.optim.Adam(ps, 0.1),
    "amsgrad": lambda ps: torch.optim.AdamW(ps, 0.1, amsgrad=True),
    "fused": lambda ps: torch.optim.Adam(ps, 0.1, fused=True),
    "momentum": lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9),
    "adagrad": lambda ps: torch.optim.Adagrad(ps, 0.1),
    "radam": lambda ps: torch.optim.RAdam(ps, 0.1),
}


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The states that an optimizer was given by load_state_dict()."""
    given: list[Any] = []
    load = torch.optim.Optimizer.load_state_dict

    def watched(self: Any, state: Any) -> None:
        given.append(state["state"])
        load(self, state)

    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", watched)
    return given


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
@pytest.mark.parametrize("used", [False, True])
def test_an_optimizer_goes_on_bit_for_bit(agent: JobDirectory, resume: Any, make: Make, used: bool) -> None:
    """With a state of its own before, or with none, as in a fresh process."""
    net, optimizer = nets(make)
    TrainingState(model=net, optimizer=optimizer).commit()
    other, again = nets(make, 3 if used else 0)
    parts = {"model": other, "optimizer": again}
    resume(1, **parts)
    assert same(again.state_dict(), optimizer.state_dict())
    for pair in ((net, optimizer), (other, again)):
        torch.manual_seed(7)
        train(*pair, 3)
    assert same(dict(other.state_dict()), dict(net.state_dict()))
    assert same(again.state_dict(), optimizer.state_dict())


def test_tensors_stay_the_same_ones(agent: JobDirectory, resume: Any, slowly: list[Any]) -> None:
    net, optimizer = nets(MAKES["adam"])
    TrainingState(model=net, optimizer=optimizer).commit()
    before = {id(value) for state in optimizer.state.values() for value in state.values()}
    with torch.no_grad():
        for value in (*net.parameters(), *(state["exp_avg"] for state in optimizer.state.values())):
            value.fill_(9)
    resume(1, model=net, optimizer=optimizer)
    assert {id(value) for state in optimizer.state.values() for value in state.values()} == before
    assert not any((value == 9).all() for value in net.parameters())
    assert slowly == [{}]


def test_the_number_of_parameters_is_checked(agent: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer = nets(MAKES["adam"])
    TrainingState(model=net, optimizer=optimizer).commit()
    monkeypatch.setenv("LAUNCHER_WORKER_RESUME_STEP", "1")
    fewer = torch.optim.Adam(list(net.parameters())[:3], 0.1)
    with pytest.raises(StateError, match=r"optimizer does not take the state that was saved: .*group"):
        TrainingState(model=net, optimizer=fewer).restore()


@pytest.mark.parametrize("hook", ["register_load_state_dict_pre_hook", "register_load_state_dict_post_hook"])
def test_an_optimizers_hooks_are_called(
    agent: JobDirectory, resume: Any, slowly: list[Any], hook: str
) -> None:
    net, optimizer = nets(MAKES["adam"])
    TrainingState(model=net, optimizer=optimizer).commit()
    again, called = torch.optim.Adam(net.parameters(), 0.1), []
    getattr(again, hook)(lambda *arguments: called.append(arguments))
    resume(1, model=net, optimizer=again)
    assert len(called) == 1
    assert len(slowly[0]) == 6  # all of the state went through it


class Overridden(torch.optim.SGD):
    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        self.told = len(state_dict["state"])


def test_an_optimizer_that_loads_in_its_own_way_does(agent: JobDirectory, resume: Any) -> None:
    def make(parameters: Any) -> torch.optim.Optimizer:
        return Overridden(parameters, 0.1, momentum=0.9)

    net, optimizer = nets(make)
    TrainingState(model=net, optimizer=optimizer).commit()
    again = make(net.parameters())
    resume(1, model=net, optimizer=again)
    assert again.told == 6  # type: ignore[attr-defined]


def test_what_would_be_cast_goes_through_load_state_dict(
    agent: JobDirectory, resume: Any, slowly: list[Any]
) -> None:
    net = nn.Linear(2, 2).bfloat16()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for parameter in net.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.full(parameter.shape, 0.1)  # float32
    TrainingState(model=net, optimizer=optimizer).commit()
    resume(1, model=net, optimizer=optimizer)
    assert len(slowly[0]) == 2
    assert {state["momentum_buffer"].dtype for state in optimizer.state.values()} == {torch.bfloat16}


class Loader(nn.Linear):
    def _load_from_state_dict(self, *arguments: Any) -> None:
        self.loaded = True
        super()._load_from_state_dict(*arguments)


def test_a_modules_own_way_to_load_is_taken(agent: JobDirectory, resume: Any) -> None:
    kept = Loader(2, 2)
    TrainingState(model=kept).commit()
    plain, loader = nn.Linear(2, 2), Loader(2, 2)
    resume(1, model=loader)
    assert loader.loaded and torch.equal(loader.weight, kept.weight)
    called: list[Any] = []
    plain.register_load_state_dict_post_hook(lambda *arguments: called.append(arguments))
    resume(1, model=plain)
    assert len(called) == 1 and torch.equal(plain.weight, kept.weight)


def test_parameters_in_another_order_are_found_by_name(agent: JobDirectory, resume: Any) -> None:
    one = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 2)})
    TrainingState(model=one).commit()
    other = nn.ModuleDict({"b": nn.Linear(3, 2), "a": nn.Linear(2, 3)})
    resume(1, model=other)
    assert all(torch.equal(other.state_dict()[name], value) for name, value in one.state_dict().items())
    with pytest.raises(Mismatch, match=r"shared/model/a.weight: wanted F32 \[3, 3\]"):
        resume(1, model=nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 2)}))


def test_what_was_restored_from_is_written_to_next(agent: JobDirectory, resume: Any) -> None:
    net = nn.Linear(3, 3)
    TrainingState(model=net).commit()
    state = resume(1, model=net)
    adopted = state._here().memory._found[agent.segment(0)]
    state.commit()
    assert state._here().memory._segment is adopted
    assert [found.step for found in Segment.open(agent.segment(0)).states()] == [2, 1]


def test_a_file_that_is_gone_since_is_made_anew(agent: JobDirectory, resume: Any) -> None:
    net = nn.Linear(3, 3)
    TrainingState(model=net).commit()
    state = resume(1, model=net)
    agent.segment(0).unlink()
    state.commit()
    assert [found.step for found in Segment.open(agent.segment(0)).states()] == [2]


def test_the_collector_is_as_before(
    agent: JobDirectory, resume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    TrainingState(model=nn.Linear(2, 3)).commit()
    assert gc.isenabled()
    with pytest.raises(Mismatch):
        resume(1, model=nn.Linear(2, 4))
    assert gc.isenabled()
    gc.disable()
    try:
        resume(1, model=nn.Linear(2, 3))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_state_without_parameters_of_this_optimizer_has_no_plan() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))], 0.1)
    group = {"lr": 0.1, "params": [0]}
    tree = {
        "state": {"$state": "shared/o/state", "also": {"$dict": [[5, {"a": 1}]]}},
        "param_groups": [group],
    }
    assert plan_for(optimizer, tree, {}) is None
    tree["state"]["also"] = {}  # type: ignore[index]
    assert plan_for(optimizer, tree, {}) is not None
