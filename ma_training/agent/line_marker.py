"""Puts a rank's mark before each line of its output, or picks lines from it: bytes in, bytes out, no IO.

Lines of several ranks share a console. A line is held back until its end has come, so that two ranks'
lines do not run into each other; but a prompt without a newline is not held for ever, nor a line of
100 MB in memory.
"""

HOLD = 0.2  # seconds that an unfinished line is held back
LONGEST = 1 << 16  # bytes of an unfinished line


class SharedConsole:
    """Who wrote the unfinished line that stands on the console, if one does."""

    def __init__(self) -> None:
        self.unfinished: LineMarker | None = None


class LineMarker:
    def __init__(self, prefix: bytes, console: SharedConsole, only: tuple[bytes, ...] = ()) -> None:
        self._prefix, self._console, self._only = prefix, console, only
        self._held = b""
        self._held_since = 0.0
        self._at_left_end = False

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def feed(self, data: bytes, now: float) -> bytes:
        """What to write now that ``data`` has come."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end and len(self._held) + len(data) <= LONGEST:
            if not self._held:
                self._held_since = now
            self._held += data
            return b""
        if end and len(data) - end <= LONGEST:
            whole, self._held, self._held_since = self._held + data[:end], data[end:], now
        else:
            whole, self._held = self._held + data, b""
        return self._mark(whole)

    def due(self, now: float) -> bytes:
        """What has been held back long enough; call it now and then with nothing new to feed."""
        if not self._held or self._only or now - self._held_since < HOLD:
            return b""
        return self.rest()

    def rest(self) -> bytes:
        """What is held back: no more will come."""
        whole, self._held = self._held, b""
        return self._mark(whole) if whole else b""

    def _mark(self, text: bytes) -> bytes:
        """``text`` with a mark where a line begins: not where it goes on after our own unfinished one."""
        text = text.replace(b"\r\n", b"\n")
        if self._only:
            lines = text.splitlines(keepends=True)
            text = b"".join(line for line in lines if any(part in line for part in self._only))
            if not text:
                return b""
        ours = self._console.unfinished is self
        start = b"" if ours or not self._console.unfinished else b"\n"
        # After a progress bar's carriage return the cursor stands on our old mark.
        first = b"" if ours and not self._at_left_end else self._prefix
        last = text[-1:]
        self._at_left_end = last == b"\r"
        self._console.unfinished = None if last == b"\n" else self
        body, tail = (text[:-1], last) if last in (b"\r", b"\n") else (text, b"")
        marked = body.replace(b"\n", b"\n" + self._prefix).replace(b"\r", b"\r" + self._prefix)
        return start + first + marked + tail
