"""What is to be copied, kept, compared, deleted and refused: any two sides, any journal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.storage import (
    Action,
    Compare,
    Copy,
    Delete,
    Entry,
    Keep,
    Record,
    Refuse,
    StorageError,
    check_path,
    plan,
)
from ma_training.storage.keys import as_bytes

NAMES = st.text("ab./é0 \udc80", min_size=1, max_size=4)
SIDE = st.dictionaries(NAMES, st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=8)


def entries(side: dict[str, tuple[int, int]]) -> list[Entry]:
    made = [Entry(key, size, 0, f"e{version}") for key, (size, version) in side.items()]
    return sorted(made, key=lambda entry: as_bytes(entry.key))


def by_key(actions: list[Action]) -> dict[str, Action]:
    return {action.key if isinstance(action, Refuse) else action.entry.key: action for action in actions}


@given(
    SIDE,
    SIDE,
    st.dictionaries(NAMES, st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8),
    st.booleans(),
)
def test_each_key_has_one_action_and_the_right_one(
    source: dict[str, tuple[int, int]],
    target: dict[str, tuple[int, int]],
    journal: dict[str, tuple[int, int]],
    delete: bool,
) -> None:
    ours, theirs = ({entry.key: entry for entry in entries(side)} for side in (source, target))
    records = {
        key: Record(f"{source.get(key, (0,))[0]} e{one}", f"{target.get(key, (0,))[0]} e{other}")
        for key, (one, other) in journal.items()
    }
    actions = list(plan(ours.values(), theirs.values(), records, check_path, delete))
    done = by_key(actions)
    assert len(done) == len(actions)
    assert set(done) == set(ours) | (set(theirs) - set(ours) if delete else set())
    for key, action in done.items():
        if isinstance(action, Delete):
            assert key not in ours
        elif isinstance(action, Refuse):
            with pytest.raises(StorageError):
                raise action.why
        elif isinstance(action, Keep) and not key.endswith("/"):
            # Only on proof: both are as the journal says, never by any time.
            assert records[key] == (ours[key].stamp, theirs[key].stamp)
        elif isinstance(action, Compare):
            assert ours[key].size == theirs[key].size
        elif isinstance(action, Copy) and not key.endswith("/") and key in theirs:
            assert ours[key].size != theirs[key].size


@given(SIDE, SIDE)
def test_without_a_look_at_the_target_the_journal_decides(
    source: dict[str, tuple[int, int]], copied: dict[str, tuple[int, int]]
) -> None:
    records = {key: Record(f"{size} e{version}", "") for key, (size, version) in copied.items()}
    for action in plan(entries(source), None, records, lambda key: key):
        if isinstance(action, Keep):
            assert records[action.entry.key].source == action.entry.stamp
        elif isinstance(action, Copy):
            assert records.get(action.entry.key, ("", ""))[0] != action.entry.stamp


@given(SIDE)
def test_no_file_where_a_directory_is_needed(source: dict[str, tuple[int, int]]) -> None:
    actions = list(plan(entries(source), None, {}, check_path, folders=True))
    files = {
        action.entry.key for action in actions if isinstance(action, Copy) and not action.entry.is_directory
    }
    for action in actions:
        if isinstance(action, Copy):
            parts = action.entry.key.rstrip("/").split("/")
            assert not files & {"/".join(parts[:depth]) for depth in range(1, len(parts))}


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "..", "a\0b", "d/" + "x" * 256]
)
def test_keys_that_would_leave_their_folder(key: str) -> None:
    (action,) = plan([Entry(key, 1, 0, "e")], [], {}, check_path)
    assert isinstance(action, Refuse)


def test_directory_with_bytes_is_refused() -> None:
    (action,) = plan([Entry("a/", 1, 0, "e")], [], {}, check_path)
    assert isinstance(action, Refuse)


def test_listing_out_of_order_is_an_error() -> None:
    for keys in (["b", "a"], ["a", "a"]):
        with pytest.raises(StorageError, match="order"):
            list(plan([Entry(key, 1, 0) for key in keys], [], {}, check_path))
        with pytest.raises(StorageError, match="order"):
            list(plan([], [Entry(key, 1, 0) for key in keys], {}, check_path))
