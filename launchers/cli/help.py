"""``launcher --help``."""

import textwrap

from ma_training.job import format_size

from .options import OPTIONS
from .values import show

HEAD = """\
usage: launcher [options] script.py [arguments of the script]
       launcher <command> ...

Runs a distributed training job on this machine's devices, restarts it when a worker
dies, and says what went wrong.

commands (a script of such a name is written ./name):
  run                   what happens where no command is given
  env                   where this is: platform, nodes, ranks, and which variable said so
  config show           every option's value, and where it comes from
  coordinator           leads a job of several nodes from a machine of its own
  ckpt ls|verify|rm     checkpoints: which there are, whether they are whole, removing them
  dump [RUN | PID]      what each worker of a running job is doing: its stacks, and who holds it up
  check                 whether a job would run here: disks, limits, network, GPUs, NPUs
  drill                 proves that a script resumes bit for bit, before the long run
  cp, sync, ls          files and directories, from and to object storage
"""

TAIL = """
Every option may also be set by a variable (LAUNCHER_MAX_RESTARTS=5, or torchrun's
PET_MAX_RESTARTS) or in ./launcher.toml (max-restarts = 5); the command line wins.
Durations take units: 30s, 5m, 1h30m. Dashes and underscores are the same.
"""


def text() -> str:
    lines, group = [HEAD], ""
    for option in OPTIONS:
        if option.group != group:
            group = option.group
            lines.append(f"{group}:\n")
        names = f"-{option.short}, --{option.name}" if option.short else f"--{option.name}"
        left = f"  {names} {option.metavar}".rstrip()
        default = format_size(option.default) if option.name == "log-limit" else show(option.default)
        right = option.help + (f" (default: {default})" if option.default not in (None, False) else "")
        body = textwrap.wrap(right, 62)
        if len(left) < 23:
            lines.append(f"{left:<24}{body.pop(0)}\n")
        else:
            lines.append(f"{left}\n")
        lines += [f"{'':24}{line}\n" for line in body]
    return "".join(lines) + TAIL
