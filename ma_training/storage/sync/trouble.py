"""Troubles are said once when they begin, and once when they are over: pure."""


class Troubles:
    """By what they are with, such as the URL of an output."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}

    def tell(self, what: str, why: str) -> str:
        """What is to be said after a round: '' for nothing new. ``why``: '' for all well.

        >>> troubles = Troubles()
        >>> troubles.tell("obs://b/out", "403"), troubles.tell("obs://b/out", "503")
        ('cannot upload to obs://b/out: 403; it is tried again, and training goes on', '')
        >>> troubles.tell("obs://b/out", ""), troubles.tell("obs://b/out", "")
        ('uploading to obs://b/out works again', '')
        """
        before = self._now.pop(what, "")
        if why:
            self._now[what] = why
            return (
                "" if before else f"cannot upload to {what}: {why}; it is tried again, and training goes on"
            )
        return f"uploading to {what} works again" if before else ""

    def of(self, what: str) -> str:
        """The present trouble, or ''."""
        return self._now.get(what, "")
