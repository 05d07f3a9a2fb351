"""py-spy: reads the stacks of a process from outside, without its help.

It only reads memory (``--nonblocking``): to pause a process by ptrace has its own danger, that one
whose py-spy is killed in that moment stays stopped. Native frames are to be had no other way, so
they are read when someone asks for them.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .evidence import Frame
from .samples import Thread, own_part


def find() -> str | None:
    """The program: beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def command(program: str, pid: int, native: bool) -> Sequence[str]:
    return program, "dump", "--pid", str(pid), "--json", "--native" if native else "--nonblocking"


def parse(text: str, pid: int) -> tuple[Thread, ...]:
    """Threads of ``pid``. Raises ValueError where ``text`` is not what py-spy writes."""
    records = json.loads(text)
    if not isinstance(records, list):
        raise ValueError(f"a list of threads is expected, not {type(records).__name__}")
    return tuple(_thread(record, pid) for record in records)


def _thread(record: Any, pid: int) -> Thread:
    if not isinstance(record, dict) or not isinstance(record.get("frames"), list):
        raise ValueError("a thread is expected to have frames")
    number, name = record.get("os_thread_id"), record.get("thread_name")
    main = number == pid or (number is None and name == "MainThread")
    gil = record.get("owns_gil")
    return Thread(
        own_part(tuple(_frame(frame) for frame in record["frames"])),
        main,
        name if isinstance(name, str) else "",
        gil if isinstance(gil, bool) else None,
        number if isinstance(number, int) else 0,
    )


def _frame(record: Any) -> Frame:
    if not isinstance(record, dict):
        raise ValueError("a frame is expected to be an object")
    line = record.get("line")
    return Frame(
        str(record.get("name") or "?"),
        str(record.get("filename") or "?"),
        line if isinstance(line, int) else 0,
    )


def reason(text: str) -> str:
    """The gist of what py-spy says when it fails."""
    lines = [line.strip() for line in text.partition("Stack backtrace:")[0].splitlines() if line.strip()]
    causes = [line for line in lines if line[0].isdigit() and ":" in line and "::" not in line]
    if any("Operation not permitted" in line or "Permission denied" in line for line in lines):
        return "it may not look (ptrace is not permitted)"
    said = causes[-1].partition(":")[2] if causes else lines[0].removeprefix("Error:") if lines else "no word"
    return said.strip()[:200]
