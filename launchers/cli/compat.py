"""``--compat``: packages that scripts import and that are rebuilt here, put within the workers' reach."""

from collections.abc import Mapping

from ma_training.compat import installed, python_path

from .settings import Settings


def compat_variables(settings: Settings, before: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Variables for the workers, and what is to be said. ``before``: what they would have without these."""
    names = settings["compat"] or ()
    if not names:
        return {}, []
    bare = [part.partition("=")[0] for part in names]
    path, said = python_path(names, before.get("PYTHONPATH", ""), {name: installed(name) for name in bare})
    return ({} if path is None else {"PYTHONPATH": path}), said
