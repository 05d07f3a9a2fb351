"""A node's workers, one rank each node: they start, train while all of their attempt do, fail and end."""

from typing import TYPE_CHECKING

from ma_training.coordination.messages import Done, Slice
from ma_training.diagnosis import WorkerFailure

if TYPE_CHECKING:
    from .seat import Seat


class Workers:
    def __init__(self, seat: "Seat") -> None:
        self._seat, self._world = seat, seat.world
        self.slice: Slice | None = None  # whose workers run
        self.ready = False  # they have started
        self._next: Slice | None = None  # to begin when those of the last attempt are gone
        self._halting = False
        self.seen = -1  # the last attempt

    def begin(self, part: Slice) -> None:
        assert part.attempt > self.seen, "attempts go forward"
        self.seen = part.attempt
        if self.slice is not None:
            assert self._halting, "two attempts on one node"
            self._next = part
            return
        self.slice, self.ready, self._halting = part, False, False
        self._world.clock.after(self._world.random.uniform(0.1, 1.0), lambda: self._start(part))

    def _start(self, part: Slice) -> None:
        if self.slice is part and not self._halting:
            self.ready = True
            self._world.part_ready(self._seat, part)

    def halt(self, attempt: int) -> None:
        if self.slice is not None and self.slice.attempt == attempt and not self._halting:
            part = self.slice
            self._halting = True
            self._leave()
            by_us = WorkerFailure(part.node_rank, -15, noticed=2.0, stopped_at=1.0)
            self._world.clock.after(self._world.random.uniform(0.02, 0.8), lambda: self._end(part, by_us))
        elif self._next is not None and self._next.attempt == attempt:
            part, self._next = self._next, None
            self._say(Done(part.attempt, ()))

    def fail(self, part: Slice, consequence: bool) -> None:
        """Its rank raises an exception, for a reason of its own or for the loss of a peer."""
        if self.slice is not part or self._halting:
            return
        error = {"type": "RuntimeError" if consequence else "ValueError"}
        error["message"] = "connection reset by peer" if consequence else "bad luck"
        failure = WorkerFailure(part.node_rank, 1, noticed=1.0, error=error)
        self._halting = True
        self._leave()
        self._seat.do(self._seat.follower.worker_failed(failure.to_record(), consequence))
        self._world.clock.after(self._world.random.uniform(0.02, 0.8), lambda: self._end(part, failure))

    def succeed(self, part: Slice) -> None:
        if self.slice is part and not self._halting:
            self._halting = True
            self._leave()
            self._end(part, None)

    def vanish(self) -> None:
        """With their agent."""
        if self.slice is not None:
            self._halting = True
            self._leave()
        self.slice = self._next = None

    def _leave(self) -> None:
        if self.slice is not None:
            self._world.part_gone(self._seat, self.slice)
        self.ready = False

    def _end(self, part: Slice, failure: WorkerFailure | None) -> None:
        if self.slice is not part:
            return
        self.slice = None
        failures = () if failure is None else (failure.to_record(),)
        self._say(Done(part.attempt, failures, steps=self._world.random.randint(1, 1 << 30)))
        if self._next is not None:
            part, self._next = self._next, None
            self.seen = -1  # it was counted
            self.begin(part)

    def _say(self, done: Done) -> None:
        if self._seat.alive and not self._seat.follower.ended:
            self._seat.do(self._seat.follower.done(done))
