"""The launcher as a drill starts it: by this interpreter and from the same files, and never without it."""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

PR_SET_PDEATHSIG = 1
HOOK = "LAUNCHER_WORKER_DRILL"  # JSON, for TrainingState: see ma_training/state/drill.py


def command(hook: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Not ``python -m launcher``, which a launcher.py in the user's directory shadows, and not the
    installed command, which may be another one."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from launchers.cli.drill_child import main; sys.exit(main({os.getpid()}, sys.argv.pop(1)))"
    )
    return [sys.executable, "-c", code, json.dumps(hook), *words]


def main(parent: int, hook: str) -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before that took effect
        return 128 + signal.SIGTERM
    from .errors import UsageError
    from .run import main as run

    try:
        return run(sys.argv[1:], {HOOK: hook})
    except UsageError as error:
        return error.say()
