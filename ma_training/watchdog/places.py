"""Where a rank's main thread has been seen, sample by sample."""

from .evidence import Frame, Stack
from .figures import FRESH, GIL_SHARE, SAMPLES, STALE

_DEBUGGERS = ("pdb.py", "bdb.py", "debugpy.py", "pydevd.py")


def python_frames(stack: Stack) -> tuple[Frame, ...]:
    """Those that do not depend on how well native code can be read; all, if there are no others."""
    plain = tuple(frame for frame in stack.frames if frame.file.endswith(".py") or frame.file.startswith("<"))
    return plain or stack.frames


class Place:
    """The latest one. Times are the job's."""

    def __init__(self) -> None:
        self.stack: Stack | None = None
        self.since = self.seen_at = 0.0
        self.samples = 0
        self.moved = False  # it has been seen elsewhere before
        self.with_gil = 0  # of the samples

    def see(self, stack: Stack, now: float) -> None:
        if not stack.frames and not stack.collective:
            return  # no one could look
        if self.stack is None or not self._is_here(stack):
            self.moved = self.stack is not None
            self.since, self.samples, self.with_gil = now, 0, 0
        self.stack, self.seen_at = stack, now
        self.samples += 1
        self.with_gil += stack.owns_gil is True

    def visible(self, now: float) -> bool:
        return self.stack is not None and now - self.seen_at < STALE

    def ages(self, now: float) -> bool:
        """Old, but not so old that it says nothing."""
        return FRESH <= now - self.seen_at < STALE

    def still(self) -> bool:
        return self.samples >= SAMPLES

    @property
    def debugged(self) -> bool:
        frames = self.stack.frames if self.stack else ()
        return any(frame.file.rpartition("/")[2] in _DEBUGGERS for frame in frames)

    @property
    def collective(self) -> str:
        return self.stack.collective if self.stack else ""

    @property
    def holds_gil(self) -> bool:
        """Nearly always: now and then another thread gets it for a moment."""
        return self.with_gil >= GIL_SHARE * self.samples > 0

    def _is_here(self, stack: Stack) -> bool:
        last = self.stack
        return (
            last is not None
            and python_frames(last) == python_frames(stack)
            and last.collective == stack.collective
        )

    def __str__(self) -> str:
        if self.stack is None or not self.stack.frames:
            return "at an unknown place"
        frame = python_frames(self.stack)[0]
        return f"in {frame.function} at {frame.file.rpartition('/')[2]}:{frame.line}"
