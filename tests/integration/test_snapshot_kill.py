"""A worker that is killed at any instant leaves its last complete state, and never a torn one."""

import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ma_training.snapshot import LeafSpec, Schema, Segment, SnapshotError, Stored

SOAK = os.environ.get("SOAK") == "1"
pytestmark = pytest.mark.timeout(1800 if SOAK else 120)
KILLS = 500 if SOAK else 25
LEAF = 1 << 20  # bytes; three of them: more than half of a writer's time goes into copying
SCHEMA = Schema(tuple(LeafSpec(f"leaf/{number}", "U64", (LEAF // 8,)) for number in range(3)))

# Adopts the file, or makes it, and commits states whose every word is the step; says so after each.
WRITER = """
import json, os, sys
from pathlib import Path
from ma_training.snapshot import LeafSpec, Schema, Segment
path, schema, slots = Path(sys.argv[1]), Schema.from_json(sys.argv[2]), int(sys.argv[3])
segment = Segment.open(path) if path.exists() else Segment.create(path, schema, slots=slots)
found = segment.states(verify=True)
step = found[0].step if found else 0
while True:
    step += 1
    slot = segment.begin(step)
    if slot is None:
        continue
    for leaf, at in zip(schema.leaves, schema.offsets):
        slot.data[at : at + leaf.nbytes] = step.to_bytes(8, "little") * (leaf.nbytes // 8)
    slot.publish(json.dumps({"step": step, "epoch": 0}).encode())
    os.write(1, step.to_bytes(8, "little"))
"""


class Writer:
    """A worker at work, and what it says that it has committed."""

    def __init__(self, path: Path, slots: int) -> None:
        words = [sys.executable, "-c", WRITER, str(path), SCHEMA.to_json(), str(slots)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout is not None
        self._said = self.process.stdout
        self.last = 0

    def follow(self, commits: int) -> None:
        for _ in range(commits):
            said = self._said.read(8)
            assert said is not None and len(said) == 8, "the writer ended by itself"
            self.last = int.from_bytes(said, "little")

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._said.close()

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait() == -9
        while said := self._said.read(8):
            self.last = int.from_bytes(said, "little")


@pytest.fixture
def path() -> Iterator[Path]:
    """In real shared memory, where there is some."""
    shm = Path("/dev/shm")
    directory = (shm if os.access(shm, os.W_OK) else Path.cwd()) / f"ma-training-test-{os.urandom(6).hex()}"
    directory.mkdir(mode=0o700)
    yield directory / "rank-0.snap"
    shutil.rmtree(directory)


def is_whole(state: Stored) -> bool:
    word = state.step.to_bytes(8, "little")
    leaves = (state.leaf(leaf.name) for leaf in state.schema.leaves)
    return state.meta["step"] == state.step and all(bytes(leaf) == word * (len(leaf) // 8) for leaf in leaves)


def was_copying(segment: Segment) -> bool:
    return any(memory.seq & 1 for memory in segment._slots)


@pytest.mark.parametrize("slots", [2, 3])
def test_killed_at_any_instant(path: Path, slots: int) -> None:
    """One file through all deaths: each writer takes over what the last one left."""
    chance = random.Random(slots)
    in_copy = 0
    for _ in range(KILLS):
        with Writer(path, slots) as writer:
            writer.follow(chance.randint(1, 20))
            time.sleep(chance.uniform(0, 0.005))  # the instant itself, not a wait for something
            writer.kill()
        segment = Segment.open(path)
        states = segment.states(verify=True)
        assert all(map(is_whole, states))
        # The commit that it could not report any more may be there too.
        assert writer.last <= states[0].step <= writer.last + 1
        assert len(states) >= slots - 1
        in_copy += was_copying(segment)
        for state in states[:1]:
            assert state.pin()  # for the next writer to find: that of a keeper that reads
            assert state.store_checksum() is not None
            assert state.unpin()
        assert segment.states(verify=True)[0].verified
        segment.close()
    assert in_copy > 0


def test_a_keeper_beside_a_writer_that_does_not_stop(path: Path) -> None:
    """What is pinned never changes, not by one byte, and the writer goes on with the other slots."""
    with Writer(path, slots=3) as writer:
        writer.follow(3)
        segment = Segment.open(path)
        first, pinned = segment.states()[0].step, 0
        while pinned < (10_000 if SOAK else 1000):
            # The oldest is what the writer is after, so they meet often.
            for state in filter(Stored.pin, reversed(segment.states())):
                whole = is_whole(state)
                assert state.unpin()
                assert whole
                pinned += 1
            writer.follow(1)
        assert segment.states()[0].step > first + 100
        segment.close()


# No payload: begin and publish follow upon each other at once, so that pins fall into them.
RACER = """
import os, sys
from pathlib import Path
from ma_training.snapshot import Schema, Segment
segment = Segment.create(Path(sys.argv[1]), Schema.from_json(sys.argv[2]), slots=2)
os.write(1, b"x")
step = skipped = 0
while not os.path.exists(sys.argv[1] + ".stop"):
    for _ in range(1000):
        step += 1
        slot = segment.begin(step)
        if slot is None:
            skipped += 1
            continue
        slot.data[:] = step.to_bytes(8, "little") * 8
        slot.publish(b'{"step": %d}' % step)
print(skipped)
"""


def test_pins_race_with_begin(path: Path) -> None:
    small = Schema((LeafSpec("leaf", "U64", (8,)),))
    stop = path.with_name(path.name + ".stop")
    words = [sys.executable, "-c", RACER, str(path), small.to_json()]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(stop.touch)  # else a failure would wait for a racer that does not end
        assert process.stdout is not None
        process.stdout.read(1)
        segment = Segment.open(path)
        pinned = lost = 0
        while pinned < (200_000 if SOAK else 5000):
            for state in segment.states():
                if not state.pin():
                    lost += 1  # the writer was first
                    continue
                whole = is_whole(state)
                assert state.unpin()
                assert whole
                pinned += 1
        stop.touch()
        skipped = int(process.stdout.readline())
    assert skipped > 0
    assert lost > 0
    segment.close()


# Each child kills itself at one line of the package, the next one line later, until one comes to the end.
LINES = """
import os, signal, sys
from pathlib import Path
from ma_training.snapshot import LeafSpec, Schema, Segment
path, schema = Path(sys.argv[1]), Schema.from_json(sys.argv[2])

def write(step):
    segment = Segment.open(path)
    slot = segment.begin(step)
    slot.data[:] = step.to_bytes(8, "little") * (len(slot.data) // 8)
    slot.publish(b'{"step": %d}' % step)
    os.write(1, b"%d " % step)

def killed_at(line, step):
    left = line
    def trace(frame, event, argument):
        nonlocal left
        if "snapshot" not in frame.f_code.co_filename:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    write(step)
    sys.settrace(None)
    os._exit(0)

Segment.create(path, schema, slots=int(sys.argv[3])).close()
line, code = 1 << 60, -9
while code:
    assert code == -9, code
    child = os.fork() or killed_at(line, line % (1 << 60) + 2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    segment = Segment.open(path)
    os.write(1, b"%d\\n" % max(state.step for state in segment.states()))
    for state in segment.states():
        assert bytes(state.leaf("leaf")) == state.step.to_bytes(8, "little") * 100, line
    segment.close()
    line, code = (0, -9) if line == 1 << 60 else (line + 1, code)
"""


@pytest.mark.parametrize("slots", [2, 3])
def test_killed_at_every_line(path: Path, slots: int) -> None:
    schema = Schema((LeafSpec("leaf", "U64", (100,)),))
    words = [sys.executable, "-c", LINES, str(path), schema.to_json(), str(slots)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    last, points = 0, done.stdout.splitlines()
    for point in points:
        *said, found = map(int, point.split())
        last = max([last, *said])
        assert found >= last  # what was said to be committed, or what came after it
        last = found
    assert len(points) > 100


# Making a file

MAKER = """
import sys
from pathlib import Path
from ma_training.snapshot import LeafSpec, Schema, Segment, memory_file
memory_file.secrets.token_hex = lambda _: "0000"  # a name that strace can be told
segment = Segment.create(Path(sys.argv[1]), Schema((LeafSpec("leaf", "U8", (5000,)),)), slots=2)
slot = segment.begin(1)
slot.data[:] = bytes([1]) * len(slot.data)
slot.publish(b'{"step": 1}')
print("committed", flush=True)
"""


def make(path: Path, call: str = "", fault: str = "") -> tuple[str, str, list[str]]:
    """Makes a file under a fault: what it said, what it complained of, and its calls that touch the file."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    trace = path.parent.with_name(f"{path.parent.name}.trace")
    paths = (path.parent, path, path.with_name(f".{path.name}.0000.new"))
    words = [strace, "-f", "-o", str(trace), *(word for one in paths for word in ("-P", str(one)))]
    words += ["-e", f"inject={call}:{fault}"] if call else []
    done = subprocess.run([*words, sys.executable, "-c", MAKER, str(path)], capture_output=True, text=True)
    calls = [line.split()[1].partition("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    trace.unlink()
    return done.stdout, done.stderr, calls


def test_made_whole_or_not_at_all_at_every_system_call(path: Path) -> None:
    said, _, calls = make(path)
    assert said == "committed\n"
    assert {"openat", "fallocate", "pwrite64", "mmap", "rename", "close"} <= set(calls)
    for number, call in enumerate(calls):
        for left in path.parent.iterdir():
            left.unlink()
        said, _, before = make(path, call, f"signal=SIGKILL:when={calls[: number + 1].count(call)}")
        assert before == calls[: number + 1]
        assert path.exists() == ("rename" in before[:-1])  # it is killed on entry
        if path.exists():
            segment = Segment.open(path)
            assert len(segment.states()) == ("committed" in said)
            segment.close()
        else:
            assert said == ""
            make(path)
        assert list(path.parent.iterdir()) == [path]  # nothing else is left, or not for long


@pytest.mark.parametrize("call", ["openat", "fallocate", "pwrite64", "mmap", "rename"])
def test_made_whole_or_not_at_all_where_a_call_fails(path: Path, call: str) -> None:
    _, complaint, calls = make(path, call, f"error=ENOMEM:when={2 if call == 'openat' else 1}")
    assert call in calls
    assert f"SnapshotError: cannot make {path}: Cannot allocate memory; 156 KiB are needed" in complaint
    assert list(path.parent.iterdir()) == []


def test_a_limit_on_the_size_of_files(path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    words = [sys.executable, "-c", MAKER, str(path)]
    done = subprocess.run(words, preexec_fn=limited, capture_output=True, text=True)
    assert f"SnapshotError: cannot make {path}: File too large; 156 KiB are needed" in done.stderr
    assert list(path.parent.iterdir()) == []


def test_a_tmpfs_that_is_full(tmp_path: Path) -> None:
    """In a mount namespace of its own: smaller than any container's."""
    script = (
        f'mount -t tmpfs -o size=16k none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}/rank-0.snap'
    )
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True)
    if probe.returncode:
        pytest.skip(f"no mount namespace: {probe.stderr.decode()}")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, MAKER], capture_output=True, text=True)
    assert "No space left on device; 156 KiB are needed" in done.stderr
    assert f"{tmp_path} has 16 KiB free" in done.stderr
    with pytest.raises(SnapshotError, match="No such file"):
        Segment.open(tmp_path / "rank-0.snap")
