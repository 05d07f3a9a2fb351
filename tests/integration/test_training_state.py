"""States of real modules and optimizers, kept and put back within one process, as under an agent."""

import gc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ma_training import TrainingState
from ma_training.checkpoint import Cause, CheckpointError, CheckpointStore, Mismatch
from ma_training.snapshot import JobDirectory, Segment, job_key
from ma_training.state import StateError
from ma_training.state.components import component

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("torch")]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobDirectory]:
    directory = JobDirectory(tmp_path / "shm", job_key("job"))
    directory.acquire("job")
    monkeypatch.setenv("LAUNCHER_WORKER_SNAPSHOTS", str(directory.path))
    monkeypatch.setenv("LAUNCHER_WORKER_CHECKPOINTS", str(tmp_path / "saved"))
    monkeypatch.setenv("LAUNCHER_WORKER_IDENTITY", "job")
    yield directory
    directory.remove()


@pytest.fixture
def resume(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainingState]:
    """A state of the next attempt, restored from the step that the agent names."""

    def resume(step: int, **components: Any) -> TrainingState:
        monkeypatch.setenv("LAUNCHER_WORKER_RESUME_STEP", str(step))
        state = TrainingState(**components)
        restored = state.restore()
        assert restored is not None and (restored.step, restored.source) == (step, "memory")
        return state

    return resume


class Net(nn.Module):
    """Tied weights, a buffer that is not saved, numbers that are none, an empty one, half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.small = nn.Parameter(torch.randn(3).bfloat16())
        self.register_buffer("scratch", torch.randn(2), persistent=False)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("turned", torch.randn(3, 300, 200).transpose(1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.second(self.first(x))) * self.small.float().sum()


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        net(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


OPTIMIZERS = [
    lambda ps: torch.optim.SGD(ps, 0.1),
    lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9),
    lambda ps: torch.optim.AdamW(ps, 0.1, amsgrad=True),
    lambda ps: torch.optim.Adam(ps, torch.tensor(0.1), capturable=False, foreach=False),  # lr is a tensor
    lambda ps: torch.optim.Rprop(ps, 0.1),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_module_and_optimizer_come_back(agent: JobDirectory, resume: Any, make: Any) -> None:
    net = Net()
    optimizer = make(net.parameters())
    state = TrainingState(model=net, optimizer=optimizer)
    train(net, optimizer, 2)
    state.commit()
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    momentum = {name: value.clone() for name, value in _tensors(optimizer.state_dict()).items()}
    other = Net()
    again = make(other.parameters())
    resume(1, model=other, optimizer=again)
    assert same(dict(other.state_dict()), kept)
    assert same(_tensors(again.state_dict()), momentum)
    assert other.first.weight is other.second.weight
    train(other, again)  # what was restored is a copy
    with closing(Segment.open(agent.segment(0))) as segment:
        assert bytes(segment.states()[0].leaf("shared/model/norm.bias")) == _bytes(kept["norm.bias"])


def _bytes(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().flatten().view(torch.uint8).tolist())


def _tensors(value: Any, at: str = "") -> dict[str, torch.Tensor]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {f"{at}/{key}": item for key, item in items if isinstance(item, torch.Tensor)}
    for key, item in items:
        found |= _tensors(item, f"{at}/{key}")
    return found


def test_what_changes_between_commits_is_noticed(agent: JobDirectory, resume: Any) -> None:
    """Everything that keeps a list of tensors from being the right one any more."""
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    state = TrainingState(model=net, optimizer=optimizer)
    changes: list[Callable[[], Any]] = [
        lambda: train(net, optimizer),
        lambda: setattr(net[0].weight, "data", torch.ones(4, 4)),
        lambda: setattr(net[0].weight, "data", torch.ones(8, 4).t()[:, :4]),
        lambda: setattr(net[1], "bias", nn.Parameter(torch.full((4,), 7.0))),
        lambda: net.append(nn.Linear(4, 2)),
        lambda: net[2].register_buffer("extra", torch.ones(5)),
        lambda: optimizer.add_param_group({"params": [net[2].weight], "lr": 0.5}),
        lambda: optimizer.state[net[0].weight].update(exp_avg=torch.full((4, 4), 3.0)),
        lambda: optimizer.param_groups[0].update(lr=0.25),
        lambda: optimizer.state.pop(net[0].bias),
        lambda: net.double(),
        lambda: net[0].bias.data.resize_(2),
    ]
    for step, change in enumerate(changes, 1):
        change()
        state.commit()
        flats = {name: component(name, value).flat() for name, value in state._values.items()}
        stored = Segment.open(agent.segment(0)).states()[0]
        assert stored.step == step
        for flat in flats.values():
            for spec, tensor in flat.leaves:
                assert bytes(stored.leaf(spec.name)) == _bytes(tensor), (step, spec.name)
        assert stored.meta["shared"]["optimizer"]["param_groups"][0]["lr"] == optimizer.param_groups[0]["lr"]
    gc.collect()


class Custom(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def test_a_module_with_a_state_of_its_own_is_asked_for_it(agent: JobDirectory, resume: Any) -> None:
    net = Custom(2, 2)
    TrainingState(model=net).commit()
    other = Custom(2, 2)
    resume(1, model=other)
    assert other.calls == 3
    assert torch.equal(other.weight, net.weight)


def test_values_are_restored_in_place(agent: JobDirectory, resume: Any) -> None:
    TrainingState(counts={"a": 1, "list": [1, (2, None)], "mean": torch.ones(2)}, none=None).commit()
    mean, inner = torch.zeros(2), [5]
    counts = {"mean": mean, "list": inner, "old": 1}
    resume(1, counts=counts)
    assert counts == {"a": 1, "list": [1, (2, None)], "mean": mean}
    assert counts["mean"] is mean and mean.tolist() == [1, 1]
    assert counts["list"] is inner


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (torch.ones(2, 2).to_sparse(), "shared/x/a has the layout torch.sparse_coo"),
        (torch.ones(2, dtype=torch.complex64), "shared/x/a is of type complex64"),
        (torch.empty(2, device="meta"), "shared/x/a is on the device meta"),
        (lambda: 0, "shared/x/a is a builtins.function"),
    ],
)
def test_what_cannot_be_saved_is_named(agent: JobDirectory, value: Any, what: str) -> None:
    with pytest.raises(StateError, match=what):
        TrainingState(x={"a": value}).commit()


def test_a_part_without_a_state_is_named() -> None:
    with pytest.raises(StateError, match="scheduler is a int"):
        TrainingState(scheduler=3)


def test_a_loader_that_does_not_know_its_place_is_refused_with_a_way_out() -> None:
    loader = torch.utils.data.DataLoader([1, 2])
    with pytest.raises(StateError, match=r"loader is a DataLoader: .*\nhint: .*pip install torchdata"):
        TrainingState(loader=loader)


def test_a_parameter_that_changes_its_group_is_noticed(agent: JobDirectory) -> None:
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": list(one.parameters())}, {"params": list(two.parameters())}], 0.1)
    state = TrainingState(optimizer=optimizer)
    state.commit()
    optimizer.param_groups[1]["params"].insert(0, optimizer.param_groups[0]["params"].pop())
    state.commit()
    groups = Segment.open(agent.segment(0)).states()[0].meta["shared"]["optimizer"]["param_groups"]
    assert [group["params"] for group in groups] == [[0], [1, 2, 3]]


def test_other_shapes_are_named(agent: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    TrainingState(model=nn.Linear(2, 3)).commit()
    monkeypatch.setenv("LAUNCHER_WORKER_RESUME_STEP", "1")
    with pytest.raises(Mismatch, match=r"shared/model/weight: wanted F32 \[4, 2\], found F32 \[3, 2\]"):
        TrainingState(model=nn.Linear(2, 4)).restore()
    with pytest.raises(StateError, match="ema: not in the state from memory, which has model"):
        TrainingState(model=nn.Linear(2, 3), ema={}).restore()


def test_every_and_sections(agent: JobDirectory) -> None:
    state = TrainingState(every=3, counts={})
    for _ in range(8):
        state.commit()
    with state.section("eval"):
        state.commit()
    assert state.step == 9
    assert [found.step for found in Segment.open(agent.segment(0)).states()] == [6, 3]


def base(tmp_path: Path, **components: Any) -> Path:
    """A checkpoint of another job."""
    state = TrainingState(**components)
    state.commit()
    place = state._here()
    place.saver.from_memory(Cause("final"))
    (entry,) = CheckpointStore(tmp_path / "saved").entries()
    place.memory.close()
    return entry.path.rename(tmp_path / entry.path.name)


def test_a_part_of_a_given_checkpoint(
    agent: JobDirectory, tmp_path: Path, resume: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    path = base(tmp_path, model=net, optimizer=torch.optim.SGD(net.parameters(), 0.7), note={"a": 1})
    agent.segment(0).unlink()
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 5))
    optimizer, note = torch.optim.SGD(other.parameters(), 0.1), {"b": 2}
    parts = {"model": other, "optimizer": optimizer, "note": note}
    state = TrainingState(**parts)
    with pytest.raises(CheckpointError, match="nothing is named like 'modle"):
        state.restore(path=path, include=("modle/*",))
    with pytest.raises(Mismatch, match=r"shared/model/1\.weight"):
        state.restore(path=path, include=("model/*",))
    found = state.restore(path=path, include=("model/*",), exclude=("model/1.*",))
    assert found is not None
    assert found.skipped == ("model/1.bias", "model/1.weight", "note/", "optimizer/")
    assert torch.equal(other[0].weight, net[0].weight)
    assert (state.step, optimizer.param_groups[0]["lr"], note) == (0, 0.1, {"b": 2})
    state.commit()
    capsys.readouterr()
    resume(1, **parts).restore(path=path)  # its own state comes first
    assert "is not used: this job has a state of its own" in capsys.readouterr().err


def test_a_pickle_is_refused(agent: JobDirectory, tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="weights_only=True"):
        TrainingState(counts={}).restore(path=tmp_path / "model.pt")
