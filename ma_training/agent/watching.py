"""Watches one attempt's workers from a thread of its own: nothing that it looks at can hold the agent up.

each second: evidence ─▶ Watch (pure) ─▶ suspicion ─▶ stacks ─▶ Watch ─▶ hang ─▶ explained ─▶ told
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ma_training.devices import open_devices
from ma_training.watchdog.findings import Finding, Hang

from .loop import Loop
from .telemetry import TelemetryPage

if TYPE_CHECKING:  # the thread imports them when workers have started: 20 ms that no start waits for
    from ma_training.watchdog.collect import Collector
    from ma_training.watchdog.culprit import Explanation
    from ma_training.watchdog.rules import Watch
    from ma_training.watchdog.stacks import Subject

EVERY = 1.0  # seconds from one look to the next
SHORTEST = 0.05  # seconds between two, where a look takes long
ENDS_WITHIN = 5.0  # seconds that the end waits for the thread


@dataclass(frozen=True, slots=True)
class Found:
    finding: Finding
    explanation: "Explanation | None" = None  # of a hang


class Watching:
    """Of one attempt; ``tell`` is called in the agent's loop."""

    def __init__(
        self,
        loop: Loop,
        make_watch: "Callable[[], Watch]",
        tell: Callable[[Found], None],
        say: Callable[[str], None],
    ) -> None:
        """``make_watch`` and ``say`` are called in the watchdog's own thread."""
        self._loop, self._make_watch, self._tell, self._say = loop, make_watch, tell, say
        self._workers: dict[int, tuple[int, TelemetryPage]] = {}
        self._ended: tuple[int, ...] = ()
        self._changed = True
        self._lock = threading.Lock()
        self._collector: Collector | None = None
        self._seen: dict[int, tuple[int, TelemetryPage]] = {}  # what it reads
        self._failed = False
        self._found: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.add_reader(self._wake, self._on_found)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    # --- for the agent's thread ---

    def started(self, rank: int, pid: int, page: TelemetryPage) -> None:
        with self._lock:
            self._workers[rank], self._changed = (pid, page), True

    def ended(self, rank: int) -> None:
        with self._lock:
            if self._workers.pop(rank, None):
                self._ended, self._changed = (*self._ended, rank), True

    def end(self) -> None:
        """No more is looked at; may be called twice. A look that hangs is left to itself."""
        if not self._stop.is_set():
            self._stop.set()
            self._loop.remove_reader(self._wake)

    def close(self) -> None:
        """Waits for the thread: telemetry pages may go when it has ended."""
        self.end()
        self._thread.join(ENDS_WITHIN)
        if not self._thread.is_alive() and self._wake >= 0:  # else it may write there yet
            os.close(self._wake)
            self._wake = -1

    def _on_found(self) -> None:
        os.eventfd_read(self._wake)
        while not (self._stop.is_set() or self._found.empty()):
            self._tell(self._found.get())

    # --- in the watchdog's thread ---

    def _run(self) -> None:
        if self._stop.wait(EVERY):
            return
        self._watch = self._make_watch()
        self._devices = open_devices(self._say)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  a job is not to hang unseen because of one look
                self._fail(error)
            self._stop.wait(max(SHORTEST, began + EVERY - time.monotonic()))
        self._devices.close()
        if self._collector is not None:
            self._collector.close()

    def _fail(self, error: Exception) -> None:
        if not self._failed and not self._stop.is_set():
            self._failed = True
            self._say(f"a look at the workers failed, a defect of the launcher; watching goes on: {error!r}")

    def _look(self) -> None:
        from ma_training.watchdog.evidence import DeviceEvidence

        collector = self._collect_from()
        evidence = collector.read(time.monotonic())
        devices = tuple(
            DeviceEvidence(one.index, one.kind, one.utilisation, one.memory, one.power, one.link_packets)
            for one in self._devices.readings()
        )
        self._report(self._watch.observe(replace(evidence, devices=devices)))
        due = self._watch.stacks_due
        if due is not None and time.monotonic() >= due and not self._stop.is_set():
            from ma_training.watchdog.stacks import take

            samples = take(self._subjects(collector))
            self._report(self._watch.stacks(time.monotonic(), [sample.stack for sample in samples]))

    def _collect_from(self) -> "Collector":
        from ma_training.watchdog.collect import Collector, Watched

        with self._lock:
            changed, self._changed = self._changed, False
            workers = dict(self._workers)
        if self._collector is None or changed:
            if self._collector is not None:
                self._collector.close()
            self._seen = workers
            self._collector = Collector(
                {rank: Watched(pid, page.read) for rank, (pid, page) in workers.items()}
            )
        return self._collector

    def _subjects(self, collector: "Collector") -> "list[Subject]":
        from ma_training.watchdog.stacks import Subject

        from .asked import StacksAsked

        return [
            Subject(rank, pid, StacksAsked(page), collector.pids(rank)[1:])
            for rank, (pid, page) in self._seen.items()
        ]

    def _report(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            found = self._explained(finding) if isinstance(finding, Hang) else Found(finding)
            if found is not None and not self._stop.is_set():
                self._found.put(found)
                os.eventfd_write(self._wake, 1)

    def _explained(self, hang: Hang) -> Found | None:
        """None where one of them has gone on meanwhile: the next look will tell."""
        from .looking import Looked, look

        with self._lock:
            workers = [Looked(rank, pid, page) for rank, (pid, page) in self._workers.items()]
        before = self._progress(hang)
        explanation = look(workers, ended=self._ended)
        return Found(hang, explanation) if self._progress(hang) == before else None

    def _progress(self, hang: Hang) -> list[object]:
        pages = [page.read() for rank, (_, page) in self._seen.items() if rank in hang.ranks]
        return [(one.phase, one.steps, one.beats, one.section_at) for one in pages]
