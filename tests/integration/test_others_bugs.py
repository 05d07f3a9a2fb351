"""Faults that other tools for checkpoints have had, where no test elsewhere is of just that."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ma_training import TrainingState
from ma_training.checkpoint import Cause, CheckpointState, CheckpointStore, write_checkpoint
from ma_training.snapshot import JobDirectory, Segment
from ma_training.state import StateError

from .test_training_state import agent, resume

__all__ = ["agent", "resume"]
pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("torch")]


def save(tmp_path: Path, step: int, **components: Any) -> Path:
    """A checkpoint of this job."""
    state = TrainingState(**components)
    for _ in range(step):
        state.commit()
    state._here().saver.from_memory(Cause("periodic"))
    state._here().memory.close()
    return tmp_path / "saved" / f"step-{step:09d}"


def test_an_empty_directory_is_no_checkpoint_and_no_new_beginning(
    agent: JobDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DLRover wrote "done" for an empty checkpoint, and its loader silently started afresh."""
    net = nn.Linear(2, 2)
    save(tmp_path, 2, model=net)
    (tmp_path / "saved" / "step-000000009").mkdir()
    agent.segment(0).unlink()
    restored = TrainingState(model=nn.Linear(2, 2)).restore()
    assert restored is not None and restored.step == 2
    assert "not used: " in (said := capsys.readouterr().err) and "step-000000009: no manifest.json" in said


def test_a_checkpoint_with_nothing_in_it_is_an_error(agent: JobDirectory, tmp_path: Path) -> None:
    nothing = CheckpointState("job", "job", 5, 0, 1, Cause("periodic"), {"shared": {}}, ())
    write_checkpoint(tmp_path / "saved", nothing)
    with pytest.raises(StateError, match=r"model: not in the state from .*step-000000005"):
        TrainingState(model=nn.Linear(2, 2)).restore()


def test_a_file_of_the_right_size_with_other_bytes_is_not_used(agent: JobDirectory, tmp_path: Path) -> None:
    """mindx judged by the size of files."""
    path = save(tmp_path, 3, model=nn.Linear(2, 2))
    agent.segment(0).unlink()
    data = bytearray((path / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "state.safetensors").write_bytes(data)
    assert TrainingState(model=nn.Linear(2, 2)).restore() is None


def test_an_unfinished_checkpoint_is_never_read(agent: JobDirectory, tmp_path: Path) -> None:
    """Hugging Face wrote a mark into incomplete ones that no reader looked for."""
    path = save(tmp_path, 3, model=nn.Linear(2, 2))
    path.rename(path.with_name(".tmp-000000003"))
    agent.segment(0).unlink()
    assert CheckpointStore(tmp_path / "saved").entries() == []
    assert TrainingState(model=nn.Linear(2, 2)).restore() is None


def test_tensors_of_the_cpu_are_copied(agent: JobDirectory, resume: Any) -> None:
    """pytorch#144657: what was trained on meanwhile got into the checkpoint. Both ways here."""
    net = nn.Linear(3, 3)
    TrainingState(model=net).commit()
    kept = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.zero_()
    slot = Segment.open(agent.segment(0)).states()[0]
    assert bytes(slot.leaf("shared/model/weight")) == kept.numpy().tobytes()
    resume(1, model=net)
    slot.memory.data[:] = bytes(len(slot.memory.data))
    assert torch.equal(net.weight, kept)


@pytest.mark.parametrize("size", [10, 100_000])
def test_memory_that_is_given_back_is_not_read(agent: JobDirectory, size: int) -> None:
    """torchrec#4322: storage was freed under a copy. FSDP frees it and leaves the shape as it was."""
    parts = {"a": torch.ones(size), "b": torch.ones(3)}
    state = TrainingState(parts=parts)
    state.commit()
    parts["a"].untyped_storage().resize_(0)
    with pytest.raises(StateError, match="shared/parts/a has no memory any more"):
        state.commit()
    parts["a"] = torch.full((size,), 2.0)
    state.commit()
    stored = Segment.open(agent.segment(0)).states()
    assert [found.step for found in stored] == [3, 1]
    assert set(stored[0].leaf("shared/parts/a").cast("f")) == {2.0}


def test_nothing_is_restored_into_memory_that_is_given_back(agent: JobDirectory, resume: Any) -> None:
    net = nn.Linear(3, 3)
    TrainingState(model=net).commit()
    net.weight.untyped_storage().resize_(0)
    with pytest.raises(StateError, match="has no memory"):
        resume(1, model=net)
