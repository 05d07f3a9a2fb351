"""Asks many workers for something at once, and waits for their answers within a time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .kernel_state import main_state

LOOK = 0.005  # seconds between looks for an answer


class Asked(Protocol):
    """What a worker can be asked for."""

    def ask(self, pid: int) -> str:
        """Asks. Returns why that cannot be done, or ''."""
        ...

    def answer(self, pid: int) -> str | None:
        """None as long as it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Silence:
    """There is no answer."""

    why: str


def ask_all(asked: Mapping[int, Asked], deadline: float) -> dict[int, str | Silence]:
    """Answers by pid. ``deadline``: of the monotonic clock."""
    results: dict[int, str | Silence] = {}
    waiting = {}
    for pid, one in asked.items():
        if why := one.ask(pid):
            results[pid] = Silence(why)
        else:
            waiting[pid] = one
    while waiting and time.monotonic() < deadline:
        for pid, one in list(waiting.items()):
            answer = one.answer(pid)
            if answer is None and main_state(pid) not in ("T", "t", "Z", "X", ""):
                continue
            del waiting[pid]
            results[pid] = Silence("it does not run") if answer is None else answer
        if waiting:
            time.sleep(LOOK)
    return results | dict.fromkeys(waiting, Silence("it did not answer in time"))
