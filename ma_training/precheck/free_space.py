"""How the guide's three checks of disk space are judged."""

from collections.abc import Callable

from ma_training.job import format_size

from .finding import Finding, fail, ok, skipped, warn
from .surroundings import Surroundings

CODE = 13  # the guide's, of all failures of disk-size


def check_space(
    path: str, least: Callable[[Surroundings], int], fix: str
) -> Callable[[Surroundings], Finding]:
    """A check's run: more than ``least`` bytes are free at ``path``; elsewhere than there it is advice."""

    def run(where: Surroundings) -> Finding:
        wanted = least(where)
        required = f"more than {format_size(wanted)}"
        try:
            free = where.disk(where.path(path)).free
        except FileNotFoundError:
            return skipped(f"there is no {path} here")
        except OSError as error:
            return fail(f"{path} cannot be read: {error.strerror}", fix, required)
        measured = f"{format_size(free)} free in {path}"
        if free > wanted:
            return ok(measured, required)
        if not where.job.guided:
            return warn(measured, fix, required)
        message = f'the disk space of the path "{path}" is {free}, which is less than {wanted}'
        return fail(measured, fix, required, service=(CODE, message))

    return run
