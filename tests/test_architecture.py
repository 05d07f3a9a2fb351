"""The floors of the house: a package imports from lower floors only. And each file is one noun."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Lowest first. Packages on one floor do not import each other, but for what is listed.
FLOORS = (
    ("ma_training.job", "ma_training.events", "ma_training.testing"),
    ("ma_training.devices", "ma_training.snapshot", "ma_training.storage"),
    ("ma_training.diagnosis", "ma_training.checkpoint", "ma_training.precheck", "ma_training.watchdog"),
    ("ma_training.coordination", "ma_training.keeper", "ma_training.data", "ma_training.transfer"),
    ("ma_training.agent", "ma_training.state", "ma_training.compat"),
    ("ma_training.observe",),
    ("launchers",),
)
LINES = 400


def package_of(module: str) -> str | None:
    return next((name for floor in FLOORS for name in floor if (module + ".").startswith(name + ".")), None)


def floor_of(package: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if package in floor)


def sources() -> list[Path]:
    return [*ROOT.glob("ma_training/**/*.py"), *ROOT.glob("launchers/**/*.py")]


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports; relative ones stay within their package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_imports_go_down() -> None:
    wrong = []
    for path in sources():
        own = package_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for module in imports(path):
            other = package_of(module)
            if own and other and own != other and floor_of(other) >= floor_of(own):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_every_package_has_a_floor() -> None:
    packages = {path.parent for path in ROOT.glob("ma_training/*/__init__.py")}
    assert {f"ma_training.{path.name}" for path in packages} <= {name for floor in FLOORS for name in floor}


def test_files_are_small() -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}


def test_exports_exist() -> None:
    import importlib

    for name in (
        "job",
        "events",
        "devices",
        "snapshot",
        "diagnosis",
        "checkpoint",
        "precheck",
        "watchdog",
        "data",
        "state",
        "storage",
        "compat",
    ):
        package = importlib.import_module(f"ma_training.{name}")
        assert len(set(package.__all__)) == len(package.__all__)
        assert all(hasattr(package, export) for export in package.__all__)
