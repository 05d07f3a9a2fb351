"""The launcher, which keeps what its watchdog was fed: ``recording_launcher.py FILE.gz [launcher's words]``.

Made with it: tests/watchdog/recorded. A run of what is no hang is recorded to its end.
"""

import gzip
import sys
from collections.abc import Sequence

import ma_training.watchdog.rules as rules
from launchers.cli import main
from ma_training.watchdog.evidence import Evidence, Stack
from ma_training.watchdog.findings import Finding
from ma_training.watchdog.recording import Stacks, encode, header


class RecordingWatch(rules.Watch):
    def observe(self, evidence: Evidence) -> list[Finding]:
        lines.append(encode(evidence))
        return super().observe(evidence)

    def stacks(self, at: float, samples: Sequence[Stack]) -> list[Finding]:
        lines.append(encode(Stacks(at, tuple(samples))))
        return super().stacks(at, samples)


path, *words = sys.argv[1:]
lines = [header(kind=words[-1])]
rules.Watch = RecordingWatch  # type: ignore[misc]
code = main(words)
with gzip.open(path, "wt", encoding="utf-8") as file:
    file.writelines(lines)
sys.exit(code)
