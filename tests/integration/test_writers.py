"""Files that are replaced whole: killed, or failing, at every system call that touches them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ma_training.events import EventLog, RunFiles, read_events

OLD, NEW = "old " * 1000, "new " * 2000
CALLS = ("openat", "write", "fsync", "close", "rename", "renameat", "renameat2")

WRITER = """
import sys
from pathlib import Path
from ma_training.events import RunFiles
files = RunFiles(lambda text: print(text, flush=True))
files.replace(Path(sys.argv[1]), sys.argv[2])
files.append(Path(sys.argv[1]).with_name("events.ndjson"), "one line\\n")
assert files.close(10)
"""


def write_under_fault(target: Path, call: str, fault: str) -> tuple[str, bool]:
    """Replaces ``target`` with NEW while a call goes wrong; its output, and whether the fault came at all."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    trace = target.with_name("trace")
    paths = [target, target.with_name(f".{target.name}.new")]
    words = [strace, "-f", "-o", str(trace), *(word for path in paths for word in ("-P", str(path)))]
    words += ["-e", f"trace={call}", "-e", f"inject={call}:{fault}"]
    done = subprocess.run(
        [*words, sys.executable, "-c", WRITER, str(target), NEW], capture_output=True, text=True
    )
    return done.stdout, "INJECTED" in trace.read_text() or "killed by SIGKILL" in trace.read_text()


@pytest.mark.parametrize("fault", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
def test_old_or_new_at_every_system_call(tmp_path: Path, fault: str) -> None:
    target = tmp_path / "result.json"
    points = []
    for call, when in ((call, when) for call in CALLS for when in (1, 2)):
        target.write_text(OLD)
        said, came = write_under_fault(target, call, f"{fault}:when={when}")
        if came:
            points.append(call)
        assert target.read_text() in (OLD, NEW)
        if "error" in fault and target.read_text() == OLD:
            assert f"cannot write {target}" in said
            assert (tmp_path / "events.ndjson").exists()  # the other files go on
    assert {"openat", "write", "fsync", "close"} <= set(points)
    assert any(call.startswith("rename") for call in points)


def test_a_torn_event_file_is_read_to_its_tear(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / "node0.ndjson"
    files = RunFiles(print)
    log = EventLog("job", "node0", lambda line: files.append(path, line))
    for number in range(3):
        log.emit("test", number=number)
    assert files.close(10)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        numbers = [event.data["number"] for event in read_events(path.parent)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= whole[:cut].count(b"\n")
    assert json.loads(whole.splitlines()[-1])["number"] == 2
