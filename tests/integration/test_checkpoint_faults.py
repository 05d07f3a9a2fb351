"""Checkpoints are written and removed by processes that are killed, or whose calls fail, at every system
call: what was there before stays valid, the next save succeeds, and nothing else is left."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ma_training.checkpoint import CheckpointStore, read_entry, verify, write_checkpoint
from tests.checkpoints import state, written

PATIENCE = 60  # seconds
CALLS = ("openat", "write", "fsync", "rename", "unlink", "mkdir", "rmdir", "flock")
READS = ("openat", "read", "flock", "mmap", "getdents64", "newfstatat")
KILL, EIO, ENOSPC = "signal=SIGKILL", "error=EIO", "error=ENOSPC"

WRITES = ("openat", "write", "fsync", "rename", "mkdir")
ACTS = {
    "save": "write_checkpoint(root, large(3))",  # and sweeps what a dead writer left
    "retain": "CheckpointStore(root).retain(1)",
    "find": "print(CheckpointStore(root).newest_valid()[0].manifest.step)",
}
# Waits until strace has got hold of it, so that only the calls that matter are counted.
ACTOR = """
import ctypes, signal, sys
from pathlib import Path
from ma_training.checkpoint import CheckpointError, CheckpointStore, write_checkpoint
from tests.checkpoints import leaf, state

PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)
root = Path(sys.argv[1])

def large(step):  # more than is written at once
    return state(step, leaves=[leaf(f"model/layer{number}", *[step] * 300_000) for number in range(4)])

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR1})
try:
    {act}
except CheckpointError as error:
    sys.exit(str(error))
"""


class Outcome:
    """How an act ended under a fault, and which calls it made."""

    def __init__(self, code: int, output: str, said: str, trace: str) -> None:
        self.code, self.output, self.said, self.trace = code, output, said, trace
        self.came = "INJECTED" in trace or "killed by SIGKILL" in trace

    def count(self, call: str) -> int:
        return len(re.findall(rf"^\d+ +{call}\(", self.trace, re.MULTILINE))


def act(root: Path, name: str, calls: Sequence[str], fault: str = "") -> Outcome:
    """Does ``name`` on ``root`` in a process of its own, under ``fault``."""
    trace = root.with_name("trace")
    code = ACTOR.replace("{act}", ACTS[name])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(root)], **pipes) as actor:  # type: ignore[call-overload]
        assert actor.stdout.readline() == "ready\n"
        inject = ["-e", f"inject={fault}"] if fault else []
        words = [
            "strace",
            "-f",
            "-y",
            "-o",
            str(trace),
            "-p",
            str(actor.pid),
            "-e",
            f"trace={','.join(calls)}",
        ]
        with subprocess.Popen([*words, *inject], stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in (line := strace.stderr.readline()), line
            actor.send_signal(signal.SIGUSR1)
            output, said = actor.communicate(timeout=PATIENCE)
            strace.communicate(timeout=PATIENCE)
    return Outcome(actor.returncode, output, said, trace.read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    return tmp_path / "root"


def prepare(root: Path, name: str) -> None:
    shutil.rmtree(root, ignore_errors=True)
    written(root, 1, 2)
    if name == "save":
        (root / ".tmp-dead").mkdir()
        (root / ".tmp-dead" / "state.safetensors").write_bytes(b"half")
        (root / ".tmp-hint").write_text("step")


def points(root: Path, name: str, fault: str, calls: Sequence[str] = CALLS) -> Iterator[tuple[str, Outcome]]:
    """Every call of the act, met by ``fault`` in a trial of its own."""
    prepare(root, name)
    whole = act(root, name, calls)
    assert whole.code == 0, whole.said
    for call in calls:
        for number in range(1, whole.count(call) + 1):
            prepare(root, name)
            outcome = act(root, name, calls, f"{call}:{fault}:when={number}")
            assert outcome.came, f"{call} {number} of {name} has not met {fault}"
            assert "Traceback" not in outcome.said
            yield call, outcome


def test_all_is_durable_before_it_is_visible(root: Path) -> None:
    """Each file after its last write, then their directory, then the name, then the name's directory."""
    prepare(root, "save")
    done = [
        (call, re.sub(r"\.tmp-\w+", "TEMP", path))
        for call, path in re.findall(
            rf'^\d+ +(write|fsync|rename)\((?:\d+<|"){re.escape(str(root))}/?([^">]*)',
            act(root, "save", CALLS).trace,
            re.MULTILINE,
        )
    ]
    files = [f"TEMP/{name}.safetensors" for name in ("state", "rank-00000", "rank-00001")]
    order = list(dict.fromkeys(reversed(done)))[::-1]  # the last of each
    assert order == [
        *((call, file) for file in [*files, "TEMP/manifest.json"] for call in ("write", "fsync")),
        # Of the checkpoint, and of the hint in the same way.
        *[("write", "TEMP"), ("fsync", "TEMP"), ("rename", "TEMP"), ("fsync", "")],
    ]
    renamed, hinted = (number for number, one in enumerate(done) if one == ("rename", "TEMP"))
    assert done[renamed - 1 : renamed + 2] == [("fsync", "TEMP"), ("rename", "TEMP"), ("fsync", "")]
    assert done[hinted - 2 :] == [("write", "TEMP"), ("fsync", "TEMP"), ("rename", "TEMP"), ("fsync", "")]
    assert len(done) == hinted + 2
    assert sum(call == "write" for call, path in done if path == files[0]) > 2


def steps(root: Path) -> list[int]:
    """Of the checkpoints that are whole; any other one is a failure."""
    entries, rejected = CheckpointStore(root).scan()
    assert rejected == []
    assert [fault for entry in entries for fault in verify(entry.path, entry.manifest)] == []
    return [entry.manifest.step for entry in entries]


def check_hint(root: Path) -> None:
    """``latest`` names what is whole, or is not there."""
    latest = root / "latest"
    if latest.exists():
        path = root / latest.read_text().strip()
        assert verify(path, read_entry(path).manifest) == []


def check_next_save(root: Path) -> None:
    before = steps(root)
    path = write_checkpoint(root, state(9))
    entry, rejected = CheckpointStore(root).newest_valid()
    assert (entry, rejected) == (read_entry(path), [])
    assert steps(root) == [9, *before]
    names = {entry.path.name for entry in CheckpointStore(root).entries()}
    assert {path.name for path in root.iterdir()} == names | {"latest"}
    assert (root / "latest").read_text() == f"{path.name}\n"


@pytest.mark.timeout(600)
def test_a_save_that_is_killed_at_any_call(root: Path) -> None:
    outcomes = []
    for call, _ in points(root, "save", KILL):
        found = steps(root)
        assert found in ([2, 1], [3, 2, 1])
        check_hint(root)
        check_next_save(root)
        outcomes.append((call, len(found)))
    assert {"openat", "write", "fsync", "rename", "mkdir", "flock"} <= {call for call, _ in outcomes}
    assert {count for _, count in outcomes} == {2, 3}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("fault", "calls"), [(EIO, CALLS), (ENOSPC, WRITES)], ids=["EIO", "ENOSPC"])
def test_a_save_any_call_of_which_fails(root: Path, fault: str, calls: Sequence[str]) -> None:
    said = set()
    for call, outcome in points(root, "save", fault, calls):
        found = steps(root)
        assert found in ([2, 1], [3, 2, 1])
        if outcome.code == 0:  # the fault met the hint, or what is only swept
            assert found == [3, 2, 1], call
        elif found == [2, 1]:
            assert outcome.said.startswith(f"cannot save step 3 under {root}: "), outcome.said
            assert outcome.said.endswith("; earlier checkpoints are untouched\n")
            assert "Input/output error" in outcome.said or "No space left on device" in outcome.said
        else:
            assert "is saved, but might not survive a power cut" in outcome.said
        said.add(outcome.said[:20])
        check_hint(root)
        check_next_save(root)
    assert len(said) == 3  # all three of these happen


@pytest.mark.timeout(600)
def test_a_removal_that_is_killed_at_any_call(root: Path) -> None:
    for _, _ in points(root, "retain", KILL):
        assert steps(root) in ([2, 1], [2])
        check_hint(root)
        check_next_save(root)


@pytest.mark.timeout(600)
def test_a_removal_any_call_of_which_fails(root: Path) -> None:
    for _, outcome in points(root, "retain", EIO):
        assert steps(root) in ([2, 1], [2])
        assert outcome.code == 0 or "Input/output error" in outcome.said
        check_hint(root)
        check_next_save(root)


@pytest.mark.timeout(600)
def test_a_disk_that_fails_while_it_is_read(root: Path) -> None:
    """What is found is whole; nothing found is an error, and never a new beginning."""
    found = []
    for _, outcome in points(root, "find", EIO, READS):
        assert outcome.output in ("2\n", "1\n", "")
        assert (outcome.code == 0) == bool(outcome.output)
        found.append(outcome.output.strip())
    assert set(found) == {"2", "1", ""}
    check_next_save(root)


WRITER = """
import sys
from pathlib import Path
from ma_training.checkpoint import CheckpointStore, write_checkpoint
from tests.checkpoints import state

root = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for step in range(20):
    write_checkpoint(root, state(step))
    CheckpointStore(root).retain(3)
    entry, _ = CheckpointStore(root).newest_valid()
    assert entry is not None and entry.manifest.step >= step
"""


def test_several_writers_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(root)], **pipes)  # type: ignore[call-overload]
        for _ in range(4)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=PATIENCE)
    assert [writer.returncode for writer in writers] == [0] * 4
    assert steps(root)[0] == 19
    assert all(path.name.startswith("step-") or path.name == "latest" for path in root.iterdir())
