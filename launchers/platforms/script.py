"""What a user's script says about itself, read from its text without running it."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

MOST = 1 << 20  # bytes that are looked at

# add_argument("--data_url"), @click.option("--data_url"), and absl's DEFINE_string("data_url"
_DECLARED = r"""["']--([A-Za-z][\w-]*)["']|\bDEFINE_\w+\(\s*["']([A-Za-z][\w-]*)["']"""


class Script:
    def __init__(self, path: Path | None = None, arguments: Sequence[str] = ()) -> None:
        self.path, self.arguments = path, arguments

    @cached_property
    def text(self) -> str:
        if self.path is None:
            return ""
        try:
            with self.path.open("rb") as source:
                return source.read(MOST).decode(errors="replace")
        except OSError:
            return ""  # it is refused elsewhere, with its reason

    @cached_property
    def declared(self) -> frozenset[str]:
        """Names of the options that its text mentions, with underscores as written."""
        return frozenset(one or other for one, other in re.findall(_DECLARED, self.text))

    def given(self, name: str) -> str | None:
        """The value of ``--name value`` or ``--name=value`` among its arguments."""
        for at, word in enumerate(self.arguments):
            if word == f"--{name}":
                return self.arguments[at + 1] if at + 1 < len(self.arguments) else ""
            if word.startswith(f"--{name}="):
                return word.partition("=")[2]
        return None

    def sets(self, variable: str) -> int | None:
        """The line that sets an environment variable, from 1."""
        pattern = re.compile(
            rf"""environ\[\s*["']{variable}["']\s*\]\s*=[^=]|putenv\(\s*["']{variable}["']"""
        )
        found = pattern.search(self.text)
        return self.text.count("\n", 0, found.start()) + 1 if found else None
