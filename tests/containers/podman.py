"""Real containers made of what this machine has, with limits on memory and on /dev/shm.

No image is fetched or built: the root is a directory of the test's own, and /usr, the interpreter, the
environment and this project are mounted into it, read-only, where they are outside.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path

from ..support import COMMAND, PATIENCE, Job, wait_until

PROJECT = Path(__file__).resolve().parents[2]
OF_USR = ("bin", "sbin", "lib", "lib64")  # links into /usr, where the distribution has merged them
FILES = PROCESSES = 1024
LIFE = 100  # seconds after which podman ends a container, whatever has become of this process


@cache
def why_not() -> str:
    """Why no limited container can be run here, in words; empty where one can."""
    if shutil.which("podman") is None:
        return "podman is not installed"
    with tempfile.TemporaryDirectory() as directory:
        words = [*_options(f"ma-training-probe-{uuid.uuid4().hex}", "64m", "16m"), *_root(Path(directory))]
        probe = subprocess.run([*words, "/bin/true"], capture_output=True, text=True, check=False)
    return f"podman runs nothing here: {probe.stderr.strip()[-300:]}" if probe.returncode else ""


class Containers:
    """Starts launchers as the first process of a container each, and answers for the containers."""

    def __init__(self, directory: Path) -> None:
        """``directory``: the launchers' own; inside it has the same name as outside."""
        self.directory = directory / "work"
        self._root = directory / "root"
        self.directory.mkdir()
        self._root.mkdir()
        self._started: dict[str, Job] = {}

    def start(self, *words: str | int, memory: str, shm: str | Path, **env: str | int) -> Job:
        """Runs train.py of the directory.

        ``memory``, ``shm``: as podman writes them, "64m"; or a directory, to be seen as /dev/shm.
        """
        name = f"ma-training-test-{uuid.uuid4().hex}"
        mounts = [f"--volume={path}:{path}:ro" for path in _read_only()]
        mounts.append(f"--volume={self.directory}:{self.directory}")
        variables = [f"--env={name}={value}" for name, value in env.items()]
        command = [COMMAND, "--run-dir", "runs", *map(str, words), "train.py"]
        process = subprocess.Popen(
            [
                *_options(name, memory, shm),
                *(*mounts, *variables, f"--workdir={self.directory}"),
                *(*_root(self._root), *command),
            ],
            cwd=self.directory,  # where podman leaves a file "oom" when the memory was not enough
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._started[name] = Job(process, self.directory, "runs")
        return self._started[name]

    def kill(self, job: Job) -> None:
        """All processes of its container at once, as a kubelet or `memory.oom.group` does."""
        (name,) = (name for name, started in self._started.items() if started is job)
        subprocess.run(["podman", "kill", "--signal=KILL", name], capture_output=True, check=True)

    def end(self) -> list[str]:
        """Removes the containers that have not ended, and names them. None is there afterwards."""
        left = [name for name, job in self._started.items() if job.process.poll() is None]
        for name in left:
            self._remove(name, self._started[name].process)
        for name in self._started:
            wait_until(lambda name=name: not _exists(name), f"the end of container {name}")
        return left

    @staticmethod
    def _remove(name: str, process: "subprocess.Popen[str]") -> None:
        # One that podman is yet to make cannot be removed, and would be made afterwards.
        wait_until(lambda: _exists(name) or process.poll() is not None, f"container {name}")
        words = ["podman", "rm", "--force", "--ignore", "--time=0", name]
        subprocess.run(words, capture_output=True, check=True)
        process.communicate(timeout=PATIENCE)


def _options(name: str, memory: str, shm: str | Path) -> list[str]:
    """Without swap, or the limit would be no limit."""
    runtime = ["--runtime=runc"] if shutil.which("runc") else []  # crun refuses hybrid cgroups
    shared = f"--volume={shm}:/dev/shm" if isinstance(shm, Path) else f"--shm-size={shm}"
    return [
        *("podman", *runtime, "run", "--rm", f"--name={name}", f"--timeout={LIFE}", "--network=none"),
        *(f"--memory={memory}", f"--memory-swap={memory}", shared),
        *(f"--ulimit=nofile={_at_most(FILES, resource.RLIMIT_NOFILE)}",),
        *(f"--ulimit=nproc={_at_most(PROCESSES, resource.RLIMIT_NPROC)}",),
    ]


def _at_most(number: int, limit: int) -> str:
    """Where podman's own default is more than we have, the container is refused."""
    hard = resource.getrlimit(limit)[1]
    fitting = number if hard == resource.RLIM_INFINITY else min(number, hard)
    return f"{fitting}:{fitting}"


def _root(directory: Path) -> list[str]:
    """Makes a root with nothing but /usr in it; podman's words for that."""
    words = ["--volume=/usr:/usr:ro"]
    for name in ("usr", "proc", "sys", "dev", "tmp", "etc"):
        (directory / name).mkdir(exist_ok=True)
    for name in OF_USR:
        outside, inside = Path("/", name), directory / name
        if outside.is_symlink() and not inside.is_symlink():
            inside.symlink_to(outside.readlink())
        elif outside.is_dir() and not outside.is_symlink():
            words.append(f"--volume={outside}:{outside}:ro")
    return [*words, "--rootfs", str(directory)]


def _read_only() -> set[Path]:
    """What Python and this project need, but for /usr."""
    wanted = {Path(sys.base_prefix), Path(sys.prefix), PROJECT, Path("/etc/ld.so.cache")}
    return {path for path in wanted if path.exists() and not path.is_relative_to("/usr")}


def _exists(name: str) -> bool:
    return subprocess.run(["podman", "container", "exists", name], check=False).returncode == 0
