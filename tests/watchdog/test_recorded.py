"""What real jobs did that looked like hangs, judged again: each recording in 20 variations, no false alarm.

Made with tests/hangs/recording_launcher.py, two gloo ranks on a machine with two cores that had other work.
A variation begins later, and lacks observations, as where the watcher itself got no CPU.
"""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.watchdog import Hang, Suspect, Watch
from ma_training.watchdog.recording import Entry, Stacks, decode
from ma_training.watchdog.replay import replay

RECORDED = Path(__file__).with_name("recorded")
VARIATIONS = 20


def read(path: Path) -> list[Entry]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return list(decode(lines))


def varied(entries: list[Entry], seed: int) -> Iterator[Entry]:
    rng = random.Random(seed)
    begin = entries[0].at + (rng.uniform(0, 10) if seed else 0)
    missing = rng.uniform(0, 0.3) if seed else 0
    for entry in entries:
        if entry.at >= begin and (isinstance(entry, Stacks) or rng.random() >= missing):
            yield entry


@pytest.mark.parametrize("path", sorted(RECORDED.glob("look-alike-*.gz")), ids=lambda path: path.stem)
def test_no_false_alarm(path: Path) -> None:
    entries = read(path)
    assert len(entries) > 12
    for seed in range(VARIATIONS):
        hangs = [one for _, one in replay(varied(entries, seed), Watch()) if isinstance(one, Hang)]
        assert not hangs, f"variation {seed}: {hangs}"


@pytest.mark.parametrize("path", sorted(RECORDED.glob("hang-*.gz")), ids=lambda path: path.stem)
def test_a_hang_is_found_again(path: Path) -> None:
    findings = [one for _, one in replay(read(path), Watch())]
    assert [type(one) for one in findings][:1] == [Suspect]
    assert isinstance(findings[-1], Hang)
    assert 1 in findings[-1].ranks


def test_there_are_recordings() -> None:
    assert len(list(RECORDED.glob("look-alike-*.gz"))) >= 11
    assert len(list(RECORDED.glob("hang-*.gz"))) >= 2
