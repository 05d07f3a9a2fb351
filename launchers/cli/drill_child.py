"""The launcher as a drill starts it: by this interpreter and from the same files, and never without it."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def program() -> list[str]:
    """Words to put before a launcher's own. Not ``python -m launcher``, which a launcher.py in the user's
    directory shadows, and not the installed command, which may be another one."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from launchers.cli.drill_child import main; sys.exit(main({os.getpid()}))"
    )
    return [sys.executable, "-c", code]


def main(parent: int) -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before that took effect
        return 128 + signal.SIGTERM
    from . import main as launcher

    return launcher()
