"""Bad input: said before anything is started, with what was found and what to write."""

import sys


class UsageError(Exception):
    """Exit code 64. ``hint`` is the line after it: what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def say(self) -> int:
        """On stderr; returns the exit code."""
        hint = f"    hint: {self.hint}\n" if self.hint else ""
        sys.stderr.write(f"launcher: error: {self}\n{hint}")
        return 64


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """The known word that was probably meant, or ''."""
    import difflib

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), "")


class NotReady(Exception):
    """What the job needs could not be brought from storage; no worker was started."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why)
        self.exit_code = exit_code
