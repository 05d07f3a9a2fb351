"""Stacks as they were taken: every thread of a process, how it was asked, and why it gave no answer."""

from dataclasses import dataclass

from .evidence import Frame, Stack

PY_SPY = "py-spy"  # read from outside, whatever state the process is in
FAULTHANDLER = "faulthandler"  # printed by the process itself


@dataclass(frozen=True, slots=True)
class Thread:
    frames: tuple[Frame, ...]  # innermost first; without those of the launcher's bootstrap
    main: bool = False
    name: str = ""
    owns_gil: bool | None = None  # None: not known
    number: int = 0  # the kernel's; 0 where it is not known
    state: str = ""  # the kernel's letter


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    rank: int
    pid: int
    threads: tuple[Thread, ...] = ()
    method: str = ""  # PY_SPY, FAULTHANDLER; '' where no one could look
    problem: str = ""  # why not: "is stopped", "does not answer: ..."
    state: str = ""  # of its main thread: R, S, D, T (stopped), t (in a debugger), Z
    waits_for: str = ""  # what its main thread is in, of the kernel: "read of pipe:[4711]"
    children: tuple["Sample", ...] = ()  # its Python processes, such as data-loader workers

    @property
    def main(self) -> Thread:
        return next((thread for thread in self.threads if thread.main), Thread((), True))

    @property
    def stack(self) -> Stack:
        from .waiting import collective_of

        frames = self.main.frames
        return Stack(self.rank, frames, self.main.owns_gil, collective_of(frames))

    @property
    def stopped(self) -> bool:
        return self.state in ("T", "t")


_BOOTSTRAP = "ma_training/agent/bootstrap.py"
_FORK = "multiprocessing/popen_fork.py"


def own_part(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Without the outer end that says nothing: the launcher's bootstrap; in a fork, where its parent was."""
    for index, frame in enumerate(frames):
        if frame.file.endswith(_FORK):
            return frames[:index]
    outer = len(frames)
    for index in range(len(frames) - 1, -1, -1):
        file = frames[index].file
        if file.endswith(_BOOTSTRAP) or (outer < len(frames) and file == "<frozen runpy>"):
            outer = index
        elif file.endswith(".py") or file.startswith("<"):  # frames of C may come in between
            break
    return frames[:outer]
