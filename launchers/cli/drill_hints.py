"""Why a resumed run differs, as far as what differs tells. Pure."""

from .drill_digests import PROGRESS, RANDOM, Comparison, Difference

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def hints(comparison: Comparison) -> list[str]:
    """Likely causes, the likeliest first."""
    differences = comparison.differences
    random = [each for each in differences if each.component == RANDOM]
    counters = [each for each in differences if each.component == PROGRESS]
    rest = [each for each in differences if each.component not in (RANDOM, PROGRESS)]
    arrays = any(each.is_array for each in rest)
    names = comparison.components
    told = [_of_shape(differences), _of_counters(counters), _of_optimizer(names) if arrays else ""]
    told.append(_of_rest(rest, bool(random)))
    if random and not rest:
        told.append(
            "all but the random generators is alike: numbers were drawn after the last commit() of one run "
            "that the other did not draw, as by making a DataLoader's iterator or an evaluation outside "
            "state.section()"
        )
    if arrays:
        told.append(_of_components(names))
    return [text for text in told if text]


def _of_shape(differences: tuple[Difference, ...]) -> str:
    only = next((each for each in differences if each.only_in), None)
    if only is None:
        return ""
    return f"{only.name} is part of the {only.only_in} run's state alone: what is made during training must \
be there before state.restore()"


def _of_counters(counters: list[Difference]) -> str:
    if not counters:
        return ""
    return "the runs count differently: commit() must come exactly once a step, after optimizer.step()"


def _of_rest(rest: list[Difference], random: bool) -> str:
    if not rest:
        return ""
    if all(each.name.endswith(_BUFFERS) for each in rest):
        return (
            "only buffers of normalisation differ: a forward pass in training mode is made in one run alone"
        )
    if not any(each.is_array for each in rest):
        parts = ", ".join(sorted({each.component for each in rest}))
        return f"only numbers of {parts} differ: something sets or counts them outside of the state"
    if random:
        return (
            "the random generators differ as well: numbers are drawn between state.restore() and the first "
            "step, or between a commit() and the next step, that the straight run draws elsewhere"
        )
    return (
        "the global random generators are alike, so the steps saw other data: the order of the data is not "
        "in the state (batches=ResumableBatchSampler(...)), or a generator of the script's own is not: "
        "random.Random(), numpy.random.default_rng() or torch.Generator(), in place of the global ones"
    )


def _of_optimizer(components: tuple[str, ...]) -> str:
    if any("optim" in name for name in components):
        return ""
    names = ", ".join(name for name in components if name != RANDOM)
    return f"no part of the state is called optimizer ({names}): one with momentum or averages belongs to it"


def _of_components(components: tuple[str, ...]) -> str:
    names = ", ".join(name for name in components if name != RANDOM)
    return (
        f"the state is {names}: whatever else changes from step to step (optimizer, scheduler, scaler, "
        "averages, generators) is to be given to TrainingState as well"
    )
