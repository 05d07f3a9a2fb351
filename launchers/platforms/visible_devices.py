"""The lists that say which accelerators a job may use: respected, and checked against what there is."""

from collections.abc import Callable

from launchers.cli.errors import UsageError

from .environment import Environment, Fact

CUDA, NPU = "CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"


def visible(environment: Environment, allotted: Fact[int] | None) -> Fact[int] | None:
    """How many devices the environment's list leaves; None where there is no list.

    ``allotted``: the platform's count, used where the machine shows no device nodes. Raises UsageError
    for an entry outside of the allotment.
    """
    found = None
    for name, count in (
        (CUDA, _without(environment, CUDA, Environment.gpus)),
        (NPU, _without(environment, NPU, Environment.npus)),
    ):
        listed = environment.text(name)
        if listed is None:
            continue
        there = Fact(count, "this machine") if count else allotted
        entries = [entry.strip() for entry in listed.value.split(",")]
        if name == CUDA and "-1" in entries:  # CUDA's way to hide this device and all after it
            entries = entries[: entries.index("-1")]
        for number, entry in enumerate(entries):
            _check(name, entry, listed.value, there)
            if entry in entries[:number]:
                raise UsageError(f"{name} is {listed.value!r}: it names device {entry} twice")
        if there is not None:
            found = found or Fact(max(1, len(entries)), name)
    return found


def _without(environment: Environment, name: str, count: Callable[[Environment], int]) -> int:
    """How many there are on the machine, whatever the list says."""
    variables = {key: value for key, value in environment.variables.items() if key != name}
    return count(Environment(variables, root=environment.root))


def _check(name: str, entry: str, listed: str, there: Fact[int] | None) -> None:
    if entry.startswith(("GPU-", "MIG-")) and name == CUDA:
        return
    if not (entry.isascii() and entry.isdigit()):
        raise UsageError(f"{name} is {listed!r}, in which {entry!r} is not the number of a device")
    if there is not None and int(entry) >= there.value:
        raise UsageError(
            f"{name} names device {entry}, but {there.origin} has {there.value}: 0 to {there.value - 1}",
            "the platform sets this list to the job's allotment: leave it as it is",
        )
