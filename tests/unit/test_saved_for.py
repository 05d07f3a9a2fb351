"""Why a checkpoint was written, in a word that its manifest takes."""

import signal

import pytest

from ma_training.agent.saved_for import cause_of
from ma_training.checkpoint.manifest import _KIND
from ma_training.diagnosis import WorkerFailure


@pytest.mark.parametrize("number", range(1, signal.SIGRTMAX + 1))
def test_every_signal_has_a_word(number: int) -> None:
    """Of real-time signals Python knows no names."""
    word, text = cause_of(WorkerFailure(3, -number, 1.0), 0)
    assert _KIND.fullmatch(word) and text.startswith("rank 3 ")


@pytest.mark.parametrize(
    ("failure", "stopped_by", "word"),
    [
        (WorkerFailure(0, -9, 1.0), 0, "sigkill"),
        (WorkerFailure(0, -9, 1.0, oom=True), 0, "oom"),
        (WorkerFailure(0, -11, 1.0), 0, "segfault"),
        (WorkerFailure(0, 1, 1.0, error={"type": "ValueError"}), 0, "exception"),
        (WorkerFailure(0, 3, 1.0), 0, "exit"),
        (WorkerFailure(0, 1, 1.0), signal.SIGTERM, "sigterm"),
        (None, signal.SIGINT, "signal"),
    ],
)
def test_words(failure: WorkerFailure | None, stopped_by: int, word: str) -> None:
    assert cause_of(failure, stopped_by)[0] == word
