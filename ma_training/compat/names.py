"""Which packages of others there are here by their own names, and which directory gives them to a worker."""

import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

SITE = Path(__file__).with_name("site")
# What --compat names, and the top-level packages in its directory.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "moxing": ("moxing", "deep_moxing"),
    "modelarts": ("modelarts",),
}
OURS = "=ours"  # after a name: also where a real one is installed


def parse_names(text: str) -> tuple[str, ...]:
    """Of ``moxing,modelarts=ours``. Raises ValueError.

    >>> parse_names("moxing, modelarts=ours")
    ('moxing', 'modelarts=ours')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in found:
        name, _, word = part.partition("=")
        if name not in PACKAGES:
            raise ValueError(f"{name!r} is none of {', '.join(PACKAGES)}")
        if word not in ("", "ours") or part.endswith("="):
            raise ValueError(
                f"{part!r}: {name}=ours is all that may follow, and means: before an installed one"
            )
    names = [part.partition("=")[0] for part in found]
    if not found or len(set(names)) != len(names):
        raise ValueError(f"{text!r} names nothing, or one of them twice")
    return found


def directory(name: str) -> Path:
    """What is put on a worker's PYTHONPATH."""
    return SITE / name


def installed(name: str, path: Iterable[str] | None = None) -> str | None:
    """Where a real package of ``name`` is; None where there is none on ``path`` (sys.path)."""
    for package in PACKAGES[name]:
        for folder in sys.path if path is None else path:
            if Path(folder).is_relative_to(SITE):
                continue
            spec = PathFinder.find_spec(package, [folder])
            if spec and spec.origin:
                return spec.origin
    return None


def python_path(
    names: Iterable[str], before: str, installed_at: Mapping[str, str | None]
) -> tuple[str | None, list[str]]:
    """The workers' PYTHONPATH, or None where it stays as it is; and what is to be said of it.

    ``before``: what it is without this. An installed package is not hidden, unless that was asked for.
    """
    first, last, said = [], [], []
    for part in names:
        name, _, word = part.partition("=")
        where = installed_at.get(name)
        if where is None:
            last.append(str(directory(name)))
        elif word:
            first.append(str(directory(name)))
            said.append(f"--compat {part}: the {name} that is installed at {where} is not used")
        else:
            said.append(
                f"--compat {name}: a real {name} is installed at {where}, and is used\n"
                f"    hint: --compat {name}{OURS} takes this project's all the same"
            )
    if not first and not last:
        return None, said
    return ":".join([*first, *([before] if before else []), *last]), said
