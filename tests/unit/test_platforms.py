"""Environments as platforms make them, each with what is to be found in it: tests/platforms/*.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchers.cli.errors import UsageError
from launchers.cli.settings import resolve
from launchers.platforms.environment import Environment
from launchers.platforms.placement import Placement, place
from launchers.platforms.presets import Presets
from launchers.platforms.script import Script

RECORDS = Path(__file__).parent.parent / "platforms"
FILES = sorted(RECORDS.glob("*.yaml"))
CASES = [(path.stem, case) for path in FILES for case in yaml.safe_load(path.read_text())]
TOPOLOGY = ("nnodes", "node_rank", "nproc_per_node", "world_size", "master_addr", "master_port")


def find(case: dict[str, Any], root: Path) -> tuple[Placement, list[str]]:
    (root / "dev").mkdir()
    for kind, pattern in (("gpu", "nvidia{}"), ("npu", "davinci{}")):
        for number in range(case.get("devices", {}).get(kind, 0)):
            (root / "dev" / pattern.format(number)).touch()
    for name, text in case.get("files", {}).items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    words = [*case.get("options", []), "train.py", *case.get("arguments", [])]
    settings = resolve(words, case["env"], root)
    script = Script(arguments=settings.args)
    environment = Environment(case["env"], settings.args, lambda: case.get("hostname", "somewhere"), root)
    placement = place(settings, environment, script)
    presets = Presets(case["env"], settings["env"] or {}, placement.platform.contract.presets)
    return placement, [*placement.notes, *presets.warnings(script)]


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{name}: {case['name']}") for name, case in CASES])
def test_environment(case: dict[str, Any], tmp_path: Path) -> None:
    if "error" in case:
        with pytest.raises(UsageError) as raised:
            find(case, tmp_path)
        missing = [text for text in case["error"] if text not in f"{raised.value} {raised.value.hint}"]
        assert not missing, f"{raised.value}"
        return
    placement, warnings = find(case, tmp_path)
    expect, topology = case["expect"], placement.topology
    found = {name: getattr(topology, name) for name in TOPOLOGY if name in expect}
    found |= {
        "platform": placement.name,
        "local_offset": topology.first_local_rank,
        "local_size": topology.local_world_size,
        "job_id": placement.job_id,
        "origins": {
            name: fact.origin for name, fact in placement.facts.items() if name in expect.get("origins", {})
        },
    }
    assert {name: found[name] for name in expect} == expect
    for text in case.get("warns", []):
        assert any(text in warning for warning in warnings), warnings


def test_there_are_sixty() -> None:
    assert len(CASES) >= 60
    assert len({(name, case["name"]) for name, case in CASES}) == len(CASES)
