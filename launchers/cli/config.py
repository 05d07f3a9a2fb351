"""``launcher config show``: what every option is, and who said so."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import UsageError
from .options import OPTIONS
from .settings import resolve
from .values import show


def main(words: Sequence[str]) -> int:
    if not words or words[0] != "show":
        raise UsageError(
            f"launcher config {' '.join(words)}: unknown", "write launcher config show [options]"
        )
    settings = resolve(words[1:], os.environ, Path.cwd())
    for option in OPTIONS:
        setting = settings.setting(option.name)
        sys.stdout.write(f"{option.name:<20} {show(setting.value) or '-':<32} {setting.origin}\n")
    return 0
