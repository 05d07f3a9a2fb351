"""What a rank's process tree does besides making progress: CPU, IO, output, states of threads."""

from .evidence import RankEvidence
from .figures import CPU_FLAT, IO_FLAT, RATE_SPAN, RECENT


class Activity:
    """Times are the job's."""

    def __init__(self, rank: RankEvidence, now: float, at: float) -> None:
        self.flat_since = now  # neither CPU nor IO nor output since
        self.cores = 0.0  # the latest rate of CPU time
        self._cpu_at = self._io_at = self._log_at = self._kernel_at = float("-inf")
        self._first, self._at = rank, at
        self.states = rank.states

    def update(self, rank: RankEvidence, now: float, at: float) -> None:
        self.states = rank.states
        if "D" in rank.states:
            self._kernel_at = now
        if rank.log != self._first.log:
            self._log_at = self.flat_since = now
        passed = at - self._at
        if passed < RATE_SPAN:
            return
        self.cores = max(rank.cpu - self._first.cpu, 0.0) / passed
        # A helper thread that wakes may be seen at it once; who wants the CPU and does not get it, twice.
        starves = "R" in rank.states and "R" in self._first.states
        if self.cores >= CPU_FLAT or starves:
            self._cpu_at = self.flat_since = now
        if abs(rank.io - self._first.io) / passed >= IO_FLAT:
            self._io_at = self.flat_since = now
        self._first, self._at = rank, at

    @property
    def alive(self) -> bool:
        """A zombie is not, nor what has no thread any more."""
        return bool(set(self.states) - set("ZX"))

    @property
    def stopped(self) -> bool:
        """Every thread, by a signal."""
        return bool(self.states) and set(self.states) <= {"T"}

    def in_kernel(self, now: float) -> bool:
        return now - self._kernel_at < RECENT

    def busy(self, now: float) -> bool:
        return now - self._cpu_at < RECENT

    def without_cpu(self, now: float) -> float:
        """For how many seconds no CPU time has been used."""
        return now - self._cpu_at

    def reads_or_writes(self, now: float) -> bool:
        return now - self._io_at < RECENT

    def logged_since(self, since: float) -> bool:
        return self._log_at > since
