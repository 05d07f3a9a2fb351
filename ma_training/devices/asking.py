"""Readings of all devices, for a caller that must not wait: a helper process asks, this only listens.

idle ──ask──▶ asked ──answer──▶ idle
                └─ SILENT_AFTER without one: said once, and nothing is asked until the answer comes
the helper's end: a new one at the next call, MOST_HELPERS times in all
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .count import has_gpus, has_npus
from .reading import DeviceReading

SILENT_AFTER = 10.0  # seconds: npu-smi takes a second a card on a busy node
MOST_HELPERS = 5
_HELPER = (sys.executable, "-I", str(Path(__file__).with_name("helper.py")))


class Asking:
    """Not for several threads at once. ``say`` gets, once each, what stands in the way of readings."""

    def __init__(
        self,
        say: Callable[[str], None] = lambda text: None,
        command: Sequence[str] = _HELPER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._command, self._clock = say, command, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._asked: float | None = None  # when; None: no answer is owed
        self._silent = False
        self._said: set[str] = set()
        self._buffer = b""

    def readings(self, within: float = 0.0) -> tuple[DeviceReading, ...]:
        """What has come since the last call, waiting ``within`` seconds at most; () where nothing has.

        Asks for the next as well, so that a caller who looks now and then never waits.
        """
        if self._asked is None and not self._ask():
            return ()
        deadline = self._clock() + within
        while (line := self._line()) is None:
            if not self._wait(max(0.0, deadline - self._clock())):
                self._note_silence()
                return ()
        self._answered()
        return self._read(line)

    @property
    def pid(self) -> int | None:
        """Of the helper, for whoever ends processes that it does not know."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """Ends the helper; one that sits in the driver is left to end when that lets it go."""
        process, self._process, self._asked = self._process, None, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            pipe.close()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.returncode = -9

    def _ask(self) -> bool:
        if self._process is None and not self._start():
            return False
        assert self._process is not None and self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), b"\n")
        except BrokenPipeError:
            self.close()
            return False
        self._asked = self._clock()
        return True

    def _start(self) -> bool:
        if self._started >= MOST_HELPERS or not (has_gpus() or has_npus()):
            return False
        self._started += 1
        self._buffer = b""
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # a terminal's Ctrl-C is for the workers
            )
        except OSError as error:
            self._once(f"cannot ask the devices: {error.strerror or error}")
            return False
        return True

    def _wait(self, seconds: float) -> bool:
        """Whether more has come, or the helper has ended."""
        if self._process is None or self._process.stdout is None:
            return False
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return False
        part = os.read(self._process.stdout.fileno(), 1 << 16)
        if not part:
            self.close()
            if self._started == MOST_HELPERS:
                self._once(
                    f"the process that asks the devices has ended {MOST_HELPERS} times; they stay unknown"
                )
            return False
        self._buffer += part
        return True

    def _line(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        self._buffer = rest
        return line

    def _note_silence(self) -> None:
        if self._asked is None or self._silent or self._clock() - self._asked < SILENT_AFTER:
            return
        self._silent = True
        self._say(
            f"the devices' driver has not answered for {SILENT_AFTER:g} s: "
            "it is not asked again until it does\n    hint: launcher check --only gpu-driver,npu-driver"
        )

    def _answered(self) -> None:
        if self._silent and self._asked is not None:
            self._say(f"the devices' driver has answered after {self._clock() - self._asked:.0f} s")
        self._asked, self._silent = None, False

    def _read(self, line: bytes) -> tuple[DeviceReading, ...]:
        try:
            record = json.loads(line)
            found = tuple(DeviceReading(**each) for each in record["devices"])
            errors = record["errors"]
        except (ValueError, TypeError, KeyError):
            self._once(f"the devices' readings are damaged: {line[:80]!r}")
            return ()
        for error in errors:
            self._once(f"devices: {error}")
        return found

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)
