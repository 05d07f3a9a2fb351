"""Exit codes: the launcher's own, and what the status of a process means.

The root-cause worker's own code always wins, 128+n where a signal ended it. The codes below are
used only where no worker's code exists to pass on.
"""

import signal
from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    USAGE = 64  # bad input: no process was started
    PRECHECK_FAILED = 69
    INTERNAL = 70  # a defect of the launcher itself
    NOT_UPLOADED = 74  # the workers ended well, but not all they have left is in storage
    PREEMPTED = 75  # stopped from outside, with its state saved
    HANG = 77


def exit_code_of(status: int) -> int:
    """A shell's exit code for ``status``: the code itself, or 128+n for ``-n`` (ended by signal n)."""
    return status if status >= 0 else 128 - status


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``SIGRTMIN+3`` and the like for what has no name of its own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number > signal.SIGRTMIN else f"signal {number}"


def describe_status(status: int) -> str:
    """What ended a process, in words.

    >>> describe_status(42), describe_status(-9)
    ('exited with code 42', 'was killed by SIGKILL')
    """
    if status < 0:
        return f"was killed by {signal_name(-status)}"
    return f"exited with code {status}"
