"""What the keeper tells workers: names of variables."""

SNAPSHOTS = "LAUNCHER_WORKER_SNAPSHOTS"  # the directory of this node's segments
MODE = "LAUNCHER_WORKER_SNAPSHOT_MODE"  # auto, shm, disk or off
DISK = "LAUNCHER_WORKER_SNAPSHOT_DISK"  # where segments go that memory has no room for
CHECKPOINTS = "LAUNCHER_WORKER_CHECKPOINTS"  # the directory of this job's checkpoints
IDENTITY = "LAUNCHER_WORKER_IDENTITY"  # what a later run must have in common with this one to resume
JOB = "LAUNCHER_WORKER_JOB"  # the run's id; the framework sets it
RESUME_STEP = "LAUNCHER_WORKER_RESUME_STEP"  # the newest that all ranks of this node have in memory
REQUEST = "save-"  # a file of this name and a step's number in the directory asks for a checkpoint
