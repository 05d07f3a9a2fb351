"""``import moxing`` under ``--compat moxing``: ma-training's own mox.file."""

import sys
from typing import Any

from ma_training.compat import moxing as _ours
from ma_training.compat.moxing.aliases import alias

alias(sys.modules[__name__])


def __getattr__(name: str) -> Any:
    return getattr(_ours, name)
