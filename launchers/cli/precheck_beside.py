"""A look at the node by a process of low priority, while the workers import: it only warns."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ma_training.agent.agent import Agent
    from ma_training.events import EventLog

AFTER = 0.5  # seconds: the workers' own start comes first, and a job that is over by then needs no look
MOST = 1 << 20  # bytes of its answer
_CHILD = str(Path(__file__).with_name("precheck_child.py"))


_FIELDS = {"check", "verdict", "measured", "required", "codes", "fix"}


def _records(text: str) -> Iterator[dict[str, Any]]:
    """What the child has found. Its environment may print lines of its own, and it may have been killed."""
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.keys() >= _FIELDS:
            yield record


class Beside:
    def __init__(self, agent: "Agent", events: "EventLog", words: Callable[[], list[str]]) -> None:
        """``words``: the child's arguments, made when it is started."""
        self._agent, self._events, self._words = agent, events, words
        self._pipe = self._pid = -1
        self._text = b""
        self._began = 0.0

    def schedule(self) -> None:
        self._agent.loop.call_at(time.monotonic() + AFTER, self._start)

    def _start(self) -> None:
        if self._agent.stopped_by or self._agent.attempt is None:  # the job is over, or between attempts
            return
        self._pipe, theirs = os.pipe()  # neither is inherited; the child gets a copy as its stdout
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", _CHILD, *self._words()],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsid=True,  # a terminal's Ctrl-C is for the workers
            )
        except OSError as error:
            os.close(self._pipe)
            self._events.emit("precheck.ended", verdict="skipped", error=error.strerror)
            return
        finally:
            os.close(theirs)
        self._began = time.monotonic()
        self._agent.loop.add_reader(self._pipe, self._on_readable)

    def _on_readable(self) -> None:
        part = os.read(self._pipe, 1 << 16)
        self._text += part
        if part and len(self._text) <= MOST:
            return
        self._agent.loop.remove_reader(self._pipe)
        os.close(self._pipe)
        try:
            os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # taken for an orphan of a shim that was killed, and reaped
            pass
        self._conclude()

    def _conclude(self) -> None:
        records = list(_records(self._text.decode(errors="replace")))
        for record in records:
            if record["verdict"] in ("warn", "fail"):
                codes = [each["code"] for each in record["codes"]]
                fields = {name: record[name] for name in ("check", "verdict", "measured", "required")}
                self._events.emit("precheck.finding", **fields, codes=codes)
            if record["verdict"] == "fail":
                codes_text = f" [{', '.join(codes)}]" if codes else ""
                self._agent.say(
                    f"precheck: {record['check']}: {record['measured']}{codes_text}; the job goes on\n"
                    f"    hint: {record['fix']}"
                )
        worst = next(
            (v for v in ("fail", "warn", "ok") if any(r["verdict"] == v for r in records)), "skipped"
        )
        self._events.emit("precheck.ended", verdict=worst, seconds=round(time.monotonic() - self._began, 3))
