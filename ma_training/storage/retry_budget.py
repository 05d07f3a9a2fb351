"""When to try again, and how much at all: pure, the time is an argument.

Threads that talk to one host share a bucket of tokens. Each retry takes one; a success gives a part of one
back, and time gives them back slowly. So one request in five may be repeated for ever, while a host that is
down gets a few a second from all threads together. Who finds no token waits for one.
"""

from dataclasses import dataclass

CAPACITY = 50.0  # retries at once
PER_SECOND = 5.0
PER_SUCCESS = 0.2
BASE = 0.1  # seconds: the first pause is at most this, each further one at most twice the one before
LONGEST = 20.0


@dataclass
class TokenBucket:
    """``tokens`` may fall below nothing: that is owed, and waited for."""

    tokens: float = CAPACITY
    at: float = 0.0  # when ``tokens`` was right, seconds of the caller's clock

    def take(self, now: float) -> float:
        """Takes one; returns the seconds to wait until it is there."""
        self._refill(now)
        self.tokens -= 1
        return max(-self.tokens, 0.0) / PER_SECOND

    def succeeded(self) -> None:
        self.tokens = min(self.tokens + PER_SUCCESS, CAPACITY)

    def _refill(self, now: float) -> None:
        passed = max(now - self.at, 0.0)  # a clock that went back gives nothing
        self.tokens = min(self.tokens + passed * PER_SECOND, CAPACITY)
        self.at = now


def pause(attempt: int, chance: float) -> float:
    """Seconds before try ``attempt`` + 1, ``chance`` in [0, 1): full jitter.

    >>> pause(1, 0.5), pause(3, 0.5), pause(50, 0.999) < LONGEST
    (0.05, 0.2, True)
    """
    return chance * min(BASE * 2.0 ** min(attempt - 1, 30), LONGEST)
