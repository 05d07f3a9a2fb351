"""The head of each container's script: one rank whose state takes STATE_MIB, committed by hand.

It finds its segment where its predecessor has left it, or makes one where `decide` says; it prints both.
"""

HEAD = """
import json, os, signal, sys
from pathlib import Path
from ma_training.devices import memory_limits
from ma_training.diagnosis.oom import OomCounters
from ma_training.snapshot import Copy, LeafSpec, Schema, Segment, decide, file_room, room

MIB = 1 << 20
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
memory, disk = (Path(os.environ[f"LAUNCHER_WORKER_SNAPSHOT{name}"]) for name in ("S", "_DISK"))
schema = Schema((LeafSpec("shared/model", "U8", (int(os.environ["STATE_MIB"]) * MIB,)),))

def make_segment():
    disk.mkdir(parents=True, exist_ok=True)
    shm = room(file_room(Path("/dev/shm")), memory_limits())
    mode = os.environ["LAUNCHER_WORKER_SNAPSHOT_MODE"]
    choice = decide([Copy(schema.data_bytes)], shm, room(file_room(disk)), mode)
    print("choice:", choice.where, choice.slots, choice.why, flush=True)
    home = {"shm": memory, "disk": disk}[choice.where]
    return Segment.create(home / "rank-0.snap", schema, slots=choice.slots)

def open_segment():
    left = [path for path in (memory / "rank-0.snap", disk / "rank-0.snap") if path.exists()]
    return Segment.open(left[0]) if left else make_segment()

def commit(step):
    slot = segment.begin(step)
    if slot is None:
        return False
    for at in range(0, len(slot.data), MIB):  # not a whole state on the heap, whose limit is near
        slot.data[at : at + MIB] = bytes([step]) * MIB
    slot.publish(json.dumps({"stamp": {"step": step, "epoch": 0}, "shared": {}, "rank": {}}).encode())
    return True

def restore():
    state = next(iter(segment.states()), None)
    if state is None:
        return 0
    data = state.leaf("shared/model")
    assert all(data[at : at + MIB] == bytes([state.step]) * MIB for at in range(0, len(data), MIB))
    return state.step

segment = open_segment()
resume = restore()
told = os.environ.get("LAUNCHER_WORKER_RESUME_STEP")
print("attempt", attempt, "resumes at", resume, "told", told, flush=True)
"""
