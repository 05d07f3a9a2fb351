"""What looks like a hang is none: 15 drawn runs of each of 14 kinds, no false alarm. SOAK=1 draws 200."""

import os

import pytest

from ma_training.watchdog import Hang, Straggler

from .kinds import LOOK_ALIKES, Run
from .world import Seen, watch

SEEDS = 200 if os.environ.get("SOAK") else 15


def seen_of(kind: str, seed: int, unseen: bool = False) -> Seen:
    run = Run(seed)
    made = LOOK_ALIKES[kind](run)
    pause = run.happens.seconds if run.happens and run.happens.stops else 0.0
    return watch(made, run.until + pause, happens=run.happens, unseen=unseen, throttled=run.throttled)


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_no_false_alarm(kind: str) -> None:
    alarms = {}
    steps = 0
    for seed in range(SEEDS):
        seen = seen_of(kind, seed)
        found = [finding for _, finding in seen.findings if isinstance(finding, Hang | Straggler)]
        steps += len(seen.recording)
        if found:
            alarms[seed] = found
    assert steps > 20 * SEEDS  # something was watched
    assert not alarms, f"{len(alarms)} false alarms in {SEEDS} runs of {kind}: {alarms}"


# Without stacks the rules see less, and wait longer.
@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_no_false_alarm_where_stacks_cannot_be_seen(kind: str) -> None:
    hangs = {seed: seen.hangs for seed in range(5) if (seen := seen_of(kind, seed, unseen=True)).hangs}
    assert not hangs, f"{kind}: {hangs}"


def test_there_are_as_many_kinds_and_runs_as_promised() -> None:
    assert len(LOOK_ALIKES) >= 14
    assert len(LOOK_ALIKES) * SEEDS >= 200
