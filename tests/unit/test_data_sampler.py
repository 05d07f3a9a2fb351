"""Each sample of an epoch once, wherever it was interrupted, and with however many ranks it went on."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.data import ResumableBatchSampler, order, share

SIZES = st.integers(0, 60)
WORLDS = st.integers(1, 6)
BATCHES = st.integers(1, 5)
ORDER = [1, 0, 8, 4, 9, 2, 7, 6, 3, 5]


def samplers(size: int, batch: int, world: int, **options: object) -> list[ResumableBatchSampler]:
    return [
        ResumableBatchSampler(size, batch_size=batch, seed=5, num_replicas=world, rank=rank, **options)  # type: ignore[arg-type]
        for rank in range(world)
    ]


def consume(ranks: Sequence[ResumableBatchSampler], steps: int, ahead: int = 3) -> list[int]:
    """What the ranks trained on in so many steps, each with a loader that fetches ``ahead`` of them."""
    seen: list[int] = []
    for rank in ranks:
        iterator = iter(rank)
        fetched = [batch for _, batch in zip(range(steps + ahead), iterator, strict=False)]
        seen += [sample for batch in fetched[:steps] for sample in batch]
        rank.committed(min(steps, len(fetched)))
    return seen


@given(SIZES, BATCHES, st.lists(st.tuples(WORLDS, st.integers(0, 6)), max_size=5), WORLDS)
def test_each_sample_once(size: int, batch: int, phases: list[tuple[int, int]], last: int) -> None:
    seen: list[int] = []
    repeated, kept = 0, None
    for world, steps in [*phases, (last, size + 1)]:
        ranks = samplers(size, batch, world)
        for rank in ranks:
            if kept:
                rank.load_state_dict(kept)
        seen += consume(ranks, steps, ahead=0)
        cursors = {rank.cursor for rank in ranks}
        assert len(cursors) == 1
        repeated += ranks[0].repeated
        kept = ranks[0].state_dict()
    assert len(seen) == size + repeated
    assert set(seen) == set(range(size))
    assert repeated < last + sum(world for world, _ in phases)


@given(SIZES, BATCHES, WORLDS, st.integers(0, 5), st.integers(0, 4))
def test_what_was_fetched_ahead_does_not_count(
    size: int, batch: int, world: int, steps: int, ahead: int
) -> None:
    straight, stopped = samplers(size, batch, world), samplers(size, batch, world)
    whole = consume(straight, size + 1, ahead=0)
    part = consume(stopped, steps, ahead)
    again = samplers(size, batch, world)
    for rank, old in zip(again, stopped, strict=True):
        rank.load_state_dict(old.state_dict())
    assert Counter(part + consume(again, size + 1, ahead=0)) == Counter(whole)


@given(SIZES, BATCHES, WORLDS, st.booleans())
def test_all_ranks_make_the_same_number_of_batches(size: int, batch: int, world: int, drop: bool) -> None:
    ranks = samplers(size, batch, world, drop_last=drop)
    counts = {len(list(rank)) for rank in ranks} | {len(rank) for rank in ranks}
    assert len(counts) == 1
    if drop:
        assert all(len(one) == batch for rank in ranks for one in rank)


@given(st.integers(0, 60), BATCHES, WORLDS)
def test_the_last_batch_is_shared_evenly(size: int, batch: int, world: int) -> None:
    for cursor in range(0, size, batch * world):
        lengths = [len(share(range(size), cursor, batch, world, rank)[0]) for rank in range(world)]
        assert max(lengths) - min(lengths) <= 1 and min(lengths) >= 1


@given(SIZES, st.integers(), st.integers(0, 9))
def test_the_order_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    assert sorted(order(size, seed, epoch)) == list(range(size))
    assert order(size, seed, epoch) == order(size, seed, epoch)


def test_the_order_never_changes() -> None:
    """A job that is resumed under a later version must find the order it began with."""
    assert order(10, 3, 1) == ORDER
    assert order(10, 3, 2) != ORDER != order(10, 4, 1)


def test_an_epoch_goes_on_or_begins() -> None:
    sampler = ResumableBatchSampler(range(10), batch_size=4)
    sampler.committed(2)
    sampler.set_epoch(0)
    assert (sampler.cursor, sampler.finished) == (8, False)
    sampler.committed()
    assert (sampler.cursor, sampler.finished, list(sampler)) == (10, True, [])
    sampler.set_epoch(1)
    assert (sampler.cursor, len(list(sampler))) == (0, 3)


def test_a_batch_that_is_left_out_ends_the_epoch() -> None:
    sampler = ResumableBatchSampler(range(10), batch_size=4, drop_last=True)
    sampler.committed(2)
    assert sampler.finished


@pytest.mark.parametrize(("name", "value"), [("samples", 11), ("seed", 1), ("shuffle", False)])
def test_another_order_is_refused(name: str, value: object) -> None:
    state = ResumableBatchSampler(range(10), batch_size=4).state_dict()
    with pytest.raises(ValueError, match=f"{name} is .*, the state was made with {value}"):
        ResumableBatchSampler(range(10), batch_size=4).load_state_dict(state | {name: value})


def test_rank_and_world_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert list(ResumableBatchSampler(8, batch_size=2, shuffle=False)) == [[1, 3], [5, 7]]


def test_what_is_called_before_the_first_batch_is_called_once() -> None:
    sampler, calls = ResumableBatchSampler(4, batch_size=2), []
    sampler.on_first_batch = lambda: calls.append(1)
    iterator = iter(sampler)
    assert calls == []
    assert len(list(iterator)) == len(list(sampler)) == 2
    assert calls == [1]
