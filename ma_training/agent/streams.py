"""Where a worker's standard streams go.

A single worker on a terminal keeps the terminal: pdb, colours and progress bars work as without a
launcher. All others write to their log file, stdout and stderr in the order written, and read
nothing. Where the launcher's own stdout and stderr lead to different places (``> out.txt``), the
two stay apart in the logs as well, so that each can be shown where the user wants it; so they do
where one of them is chosen by name (--tee, --redirects).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ma_training.job import JobSpec, RunDirectory, WorkerSpec

INHERIT = ""


@dataclass(frozen=True, slots=True)
class Paths:
    """A worker's streams; '' where it inherits the launcher's."""

    stdin: str
    stdout: str
    stderr: str
    error_file: str  # torch's @record writes exceptions to it

    @property
    def logs(self) -> tuple[str, ...]:
        """The log files, each once."""
        return tuple(dict.fromkeys(path for path in (self.stdout, self.stderr) if path))


@dataclass(frozen=True, slots=True)
class Streams:
    job: JobSpec
    terminal: bool  # the single worker's own
    apart: bool
    stdin: str

    def directory(self, run: RunDirectory, attempt: int) -> Path:
        """Where the attempt's logs are."""
        if self.job.log_dir is not None:
            return self.job.log_dir / run.job_id / f"attempt_{attempt}"
        return run.attempt(attempt)

    def named_directory(self, run: RunDirectory) -> Path:
        """Where logs with a platform's names are: they go on through all attempts."""
        assert self.job.log_names is not None
        return self.job.log_names.directory or run.path / "log"

    def everything(self, run: RunDirectory) -> Path | None:
        """The file that takes what all ranks print, where the platform has one."""
        names = self.job.log_names
        return self.named_directory(run) / names.everything(run.job_id) if names else None

    def paths(self, run: RunDirectory, attempt: int, spec: WorkerSpec) -> Paths:
        if self.job.log_dir is not None:  # torchrun's layout
            own = self.directory(run, attempt) / str(spec.local_rank)
            return Paths(
                self.stdin, str(own / "stdout.log"), str(own / "stderr.log"), str(own / "error.json")
            )
        log = run.log(attempt, self.job.topology.node_name, spec.rank)
        error_file = str(log.with_suffix(".error.json"))
        if self.job.log_names is not None:
            named = self.named_directory(run) / self.job.log_names.rank(
                run.job_id, spec.rank, spec.local_rank
            )
            return Paths(self.stdin, str(named), str(named), error_file)
        if self.terminal:
            return Paths(INHERIT, INHERIT, INHERIT, error_file)
        return Paths(
            self.stdin, str(log), str(log.with_suffix(".err.log") if self.apart else log), error_file
        )


def worker_streams(job: JobSpec) -> Streams:
    single = job.topology.world_size == 1
    plain = not job.console.chosen and job.console.prefix is None and not any(job.filters)
    plain = plain and job.log_names is None
    foreground = os.isatty(0) and in_foreground()
    terminal = single and plain and foreground and os.isatty(1) and os.isatty(2)
    # A single worker may read what is piped in, or the terminal when it is ours to read.
    stdin = INHERIT if single and (foreground or not os.isatty(0)) else os.devnull
    apart = not _same_file(1, 2) or job.console.redirects or job.console.tee or any(job.filters)
    return Streams(job, terminal, bool(apart), stdin)


def in_foreground() -> bool:
    """Whether we own the terminal on stdin; not so where it is another session's (setsid)."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
