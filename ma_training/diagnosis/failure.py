"""One worker's failure: the evidence, and what it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ma_training.job import ExitCode, describe_status, exit_code_of

# What a rank says when *another* one is gone. Seen with gloo, NCCL, HCCL, Horovod and torch's store.
_COMMUNICATION_TYPES = {"DistBackendError", "DistNetworkError", "DistStoreError", "HorovodInternalError"}
_LOST_PEER = re.compile(
    r"connection (closed|reset) by peer|connection refused|broken pipe|connectFullMesh|recvvalue failed"
    r"|socket (closed|timeout)|timed out waiting|peer .*(closed|died)|store .*timeout|monitoredBarrier"
    r"|remote process exited|communicator was aborted|watchdog caught collective"
    r"|ncclRemoteError|unhandled system error|\bEI000[26]\b|remote rank",
    re.IGNORECASE,
)
# What the same libraries say of a fault of this rank's own.
_OWN_FAULT = re.compile(
    r"EADDRINUSE|address already in use|permission denied|n't have \w+ built in|unable to find address"
    r"|invalid usage|unhandled cuda error|out of memory",
    re.IGNORECASE,
)
# Frames where a connection leads to a process of this node, which this rank has started.
_OWN_CHILD = re.compile(
    r"torch/utils/data/dataloader\.py|multiprocessing/(resource_sharer|managers|pool)\.py"
)
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f\x7f]")  # would act on a terminal
_PORT_TAKEN = re.compile(r"EADDRINUSE|address already in use", re.IGNORECASE)


def is_consequence(error: Mapping[str, Any]) -> bool:
    """Whether an exception's record says that a peer was lost, rather than that this rank failed."""
    kind, message = error.get("type"), str(error.get("message", ""))
    if _OWN_FAULT.search(message) or _OWN_CHILD.search(str(error.get("traceback", ""))):
        return False
    if kind in _COMMUNICATION_TYPES:
        return True
    # Those of the same name in requests or botocore speak of a server, not of a peer.
    builtin = error.get("module", "builtins") == "builtins"
    known = ("RuntimeError", "ConnectionError", "ConnectionResetError", "BrokenPipeError")
    return builtin and kind in known and bool(_LOST_PEER.search(message))


@dataclass(frozen=True, slots=True)
class WorkerFailure:
    """A rank that did not end well. Times are seconds of the node's monotonic clock."""

    rank: int
    status: int  # exit code, or -n for signal n
    noticed: float
    stopped_at: float | None = None  # when we first sent it a signal to end
    error: Mapping[str, Any] = field(default_factory=dict)
    raised: float | None = None  # when the exception in `error` was seen
    steps: int | None = None
    oom: bool = False  # the kernel's OOM killer was at work meanwhile
    phase: int | None = None  # of the bootstrap
    pid: int = 0
    memory_limit: int | None = None  # bytes, of the cgroup
    logs: tuple[str, ...] = ()  # paths; none where it wrote to the terminal
    note: str = ""  # what happened, where neither status nor exception says it
    hang: str = ""  # the watchdog ended it: "stuck", or "waiting" for a peer that was
    hang_kind: str = ""  # what the catalogue knows it by
    final: bool = False  # the user wants no other attempt after such a failure
    explanation: tuple[str, ...] = ()  # of a hang: stacks, line by line

    def to_record(self) -> dict[str, Any]:
        """For a message to another node. Its times mean nothing there, other than to each other."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "error": dict(self.error)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "WorkerFailure":
        """Raises ValueError for what is no such record."""
        try:
            lists = {name: tuple(record.get(name, ())) for name in ("logs", "explanation")}
            return cls(**{**record, **lists})
        except TypeError as error:
            raise ValueError(f"no record of a failure: {error}") from None

    @property
    def began(self) -> float:
        return self.noticed if self.raised is None else min(self.raised, self.noticed)

    @property
    def by_us(self) -> bool:
        """It ended after we had stopped it. An exception that was under way before is its own."""
        return self.stopped_at is not None and self.began >= self.stopped_at

    @property
    def is_consequence(self) -> bool:
        """Of another rank's failure, by what it says itself."""
        return self.hang == "waiting" or is_consequence(self.error)

    @property
    def exit_code(self) -> int:
        """Its own; for one that we stopped in the middle of an exception, what that would have come to."""
        if self.hang:
            return ExitCode.HANG
        if self.error and self.stopped_at is not None and not self.by_us and self.status < 0:
            return 1
        return exit_code_of(self.status)

    @property
    def port_taken(self) -> bool:
        return not self.steps and bool(_PORT_TAKEN.search(self.error.get("message", "")))

    @property
    def deliberate(self) -> bool:
        """The user has quit the debugger."""
        return self.error.get("type") == "BdbQuit"

    @property
    def external(self) -> bool:
        """A signal that a program does not send itself."""
        interrupted = self.error.get("type") == "KeyboardInterrupt"
        return self.status in (-9, -15, -2, -1) and not self.oom and (interrupted or not self.error)

    @property
    def fingerprint(self) -> str:
        """Equal for two failures of one cause. Messages hold addresses and times: they stay out."""
        if self.hang:
            return "hang"  # where it stands may differ by a line from one time to the next
        if self.note:
            return self.note
        if self.oom:
            return "out of memory"
        if self.error and self.error.get("type") != "SystemExit":
            return f"{self.error.get('type')} at {self.error.get('file')}:{self.error.get('line')}"
        return describe_status(self.status)

    def describe(self) -> str:
        """What happened to it, as the rest of a sentence that begins with its rank."""
        if self.note:
            return self.note
        if self.oom:
            return "was killed by the kernel: out of memory"
        if self.error and self.error.get("type") != "SystemExit":
            message = _UNPRINTABLE.sub("", str(self.error.get("message", ""))).strip().splitlines()
            text = f"{self.error.get('type')}: {message[0]}" if message else str(self.error.get("type"))
            return f"raised {text[:300]}"
        return describe_status(self.status)
