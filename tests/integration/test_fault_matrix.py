"""Kinds of fault in every phase of a job, on rank 0 and another: it recovers, and the right rank is named."""

import pytest

from tests.support import Launcher

KINDS = {
    "exception": ("raise ValueError('injected')", "raised ValueError: injected"),
    "exit": ("os._exit(17)", "exited with code 17"),
    "SIGKILL": ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
    "segfault": ("ctypes.string_at(0)", "was killed by SIGSEGV"),
}
PHASES = ("rendezvous", "first step", "mid-save", "shutdown")

# As a training script is shaped, without torch's seconds: ranks meet at the rendezvous address, step
# together, save whole, and end together.
SCRIPT = """
import atexit, ctypes, os, socket, time

RANK, SIZE = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
ADDRESS = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
FIRST = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"


def fault(phase):
    if FIRST and RANK == {rank} and phase == {phase!r}:
        print("injecting", flush=True)
        {code}


def join():
    if RANK == 0:
        with socket.create_server(ADDRESS) as server:
            return [server.accept()[0] for _ in range(SIZE - 1)]
    while True:
        try:
            return [socket.create_connection(ADDRESS)]
        except ConnectionRefusedError:
            time.sleep(0.005)


def all_reduce():
    for peer in peers:
        peer.sendall(b"x")
    for peer in peers:
        if not peer.recv(1):
            raise ConnectionError("Connection closed by peer")


fault("rendezvous")
peers = join()
for step in range(3):
    all_reduce()
    if step == 0:
        fault("first step")
with open(f"checkpoint-{{RANK}}.tmp", "w") as file:
    file.write("half")
    fault("mid-save")
    file.write(" and whole")
os.replace(f"checkpoint-{{RANK}}.tmp", f"checkpoint-{{RANK}}")
all_reduce()
fault("shutdown")
all_reduce()
print("done", flush=True)
"""


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_recovery(launcher: Launcher, kind: str, phase: str, rank: int) -> None:
    code, cause = KINDS[kind]
    script = launcher.script(SCRIPT.format(rank=rank, phase=phase, code=code))
    job = launcher.run("--nproc-per-node", 3, script)
    assert job.process.returncode == 0, job.stderr
    first, second = job.result["attempts"]
    assert (first["failure"]["rank"], first["failure"]["cause"]) == (rank, cause)
    assert second["failure"] is None
    assert [job.log(each, attempt=1) for each in range(3)] == ["done\n"] * 3
    assert [(launcher.directory / f"checkpoint-{each}").read_text() for each in range(3)] == [
        "half and whole"
    ] * 3
    ended = job.events("attempt.ended")
    assert [event.data["outcome"] for event in ended] == ["failed", "succeeded"]  # one terminal event each
    assert f"rank {rank} {cause}" in str(ended[0].data["cause"])
