"""One checkpoint that is being written: the saver's process, and the states that are pinned for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ma_training.checkpoint import remove
from ma_training.snapshot.slot import Stored

from .stock import Stock

SAVER = Path(__file__).with_name("saver.py")


class Saving:
    """The saver's process."""

    def __init__(self, order: dict[str, object], kind: str, stock: Stock, states: list[Stored]) -> None:
        """``states``: pinned, of ``stock``."""
        self.kind, self._order, self._stock, self._states = kind, order, stock, states

    def start(self) -> None:
        self._out = os.memfd_create("checkpoint-saver", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SAVER)],
            stdin=subprocess.PIPE,
            stdout=self._out,
            stderr=self._out,
            text=True,
            start_new_session=True,  # Ctrl-C ends the workers, not what saves their state
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._order) + "\n")
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self, timeout: float | None) -> bool:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def outcome(self) -> dict[str, Any]:
        """What it said last; an error where that is no outcome. Training may have the states again."""
        untouched = self.release()
        outcome = self._said()
        if outcome["step"] is not None and not untouched:  # a pin was ignored
            remove(Path(outcome["path"]))
            return {"step": None, "error": "its state was overwritten while it was written"}
        return outcome

    def release(self) -> bool:
        """Lets training have the states again; False where it had not waited for that."""
        there = [state.unpin() for state in self._states]
        self._states = []
        self._stock.close()
        return all(there)

    def _said(self) -> dict[str, Any]:
        with os.fdopen(self._out, "rb") as file:
            file.seek(0)
            text = file.read().decode(errors="replace").strip()
        try:
            record = json.loads(text.splitlines()[-1])
            return {"step": record["step"], "path": record["path"], "error": record["error"]} | {
                name: record[name] for name in ("seconds", "bytes")
            }
        except (ValueError, LookupError, TypeError):
            last = text.splitlines()[-1] if text else f"exit code {self._process.returncode}"
            return {"step": None, "error": f"its process failed: {last[:300]}"}
