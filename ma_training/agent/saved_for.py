"""Why a checkpoint is written when an attempt has ended: in a word, and in words."""

import signal

from ma_training.diagnosis import WorkerFailure
from ma_training.job import signal_name

_SIGNALS: dict[int, str] = {
    signal.SIGKILL: "sigkill",
    signal.SIGTERM: "sigterm",
    signal.SIGSEGV: "segfault",
    signal.SIGBUS: "segfault",
    signal.SIGABRT: "abort",
}


def cause_of(failure: WorkerFailure | None, stopped_by: int) -> tuple[str, str]:
    """A word of `checkpoint.Cause`, and a sentence. ``stopped_by``: the signal that ended the job, or 0."""
    if stopped_by:
        word = "sigterm" if stopped_by == signal.SIGTERM else "signal"
        return word, f"the job was stopped by {signal_name(stopped_by)}"
    if failure is None:
        return "exception", ""
    text = f"rank {failure.rank} {failure.describe()}"
    if failure.hang:
        return "hang", text
    if failure.oom:
        return "oom", text
    if failure.status < 0:
        return _SIGNALS.get(-failure.status, "signal"), text
    return "exception" if failure.error else "exit", text
