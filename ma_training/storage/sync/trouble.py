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
            first, hint, rest = why.partition("\n")
            text = f"cannot upload to {what}: {first}; it is tried again, and training goes on{hint}{rest}"
            return "" if before else text
        return f"uploading to {what} works again" if before else ""

    def of(self, what: str) -> str:
        """The present trouble, or ''."""
        return self._now.get(what, "")
