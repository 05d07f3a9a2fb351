"""Which state the ranks go on from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.checkpoint import Cause, FileRecord, Manifest
from ma_training.state.agreement import Holding, key_of, newest_common, step_of
from ma_training.state.errors import StateError
from ma_training.state.finding import is_one_ahead
from ma_training.state.surroundings import look_around

KEYS = st.lists(st.integers(0, 9), max_size=3, unique=True)
HOLDINGS = st.lists(st.builds(Holding, KEYS, KEYS), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("ranks", "chosen"),
    [
        ([], None),
        ([Holding([], [])], None),
        ([Holding([10, 11], [10, 11])], 11),
        ([Holding([10, 11], [10, 11]), Holding([], [9, 10])], 10),  # one was a step behind
        ([Holding([10, 11], [10, 11]), Holding([], [])], 11),  # a new node
        ([Holding([], [5]), Holding([7], [7])], 7),  # what one has is of long ago
        ([Holding([], [4]), Holding([], [4])], None),  # the writer's node is lost
    ],
)
def test_cases(ranks: list[Holding], chosen: int | None) -> None:
    assert newest_common(ranks) == chosen


@given(HOLDINGS)
def test_it_can_be_had(ranks: list[Holding]) -> None:
    shared = {key for rank in ranks for key in rank.shared}
    chosen = newest_common(ranks)
    assert (chosen in shared) if shared else chosen is None
    complete = [key for key in shared if all(key in rank.private for rank in ranks if rank.private)]
    if complete:
        assert chosen == max(complete)


@given(st.integers(0, 1 << 40), st.integers(0, 300), st.integers(0, 1 << 40), st.integers(0, 300))
def test_keys_are_in_order(step: int, mark: int, other: int, another: int) -> None:
    assert step_of(key_of(step, mark)) == step
    if step < other:
        assert key_of(step, mark) < key_of(other, another)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "-1"),
        ("WORLD_SIZE", "two"),
        ("LAUNCHER_WORKER_SNAPSHOT_MODE", "ram"),
        ("LAUNCHER_WORKER_RESUME_STEP", "1.5"),
        ("LAUNCHER_WORKER_DRILL", "{"),
        ("LAUNCHER_WORKER_DRILL", '{"stop_at": "3"}'),
    ],
)
def test_a_senseless_environment_is_named(name: str, value: str) -> None:
    with pytest.raises(StateError, match=name):
        look_around({name: value})


def test_a_launchers_directory_of_checkpoints_wins(tmp_path: Path) -> None:
    """Its keeper writes there: what a script says is for when there is no launcher."""
    given, own = tmp_path / "given", tmp_path / "own"
    assert look_around({"LAUNCHER_WORKER_CHECKPOINTS": str(given)}, directory=own).checkpoints == given
    assert look_around({}, directory=own).checkpoints == own


@pytest.mark.parametrize(
    ("step", "ranks", "world", "apart", "ahead"),
    [
        (11, [0], 2, 1, True),  # node 0 has saved what node 1 had not come to
        (11, [0, 1], 2, 1, False),  # it is whole: nothing is lost with it
        (12, [0], 2, 1, False),  # no rank was so far behind: the memory is of long ago
        (15, [0], 2, 5, True),  # of commits that are kept, it is the next
        (16, [0], 2, 5, False),
        (11, [0, 1], 3, 1, True),
    ],
)
def test_a_checkpoint_that_lacks_ranks(
    step: int, ranks: list[int], world: int, apart: int, ahead: bool
) -> None:
    record = FileRecord(0, "0" * 64)
    manifest = Manifest(
        job="job",
        identity="job",
        step=step,
        epoch=0,
        world_size=world,
        cause=Cause("exception"),
        created="2026-01-01T00:00:00+00:00",
        meta={},
        ranks={rank: {} for rank in ranks},
        files={"state.safetensors": record},
    )
    assert is_one_ahead(manifest, 10, world, apart) is ahead
