"""``launcher env``: where this is, what was found, and which variable said so."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launchers.platforms.environment import Environment, Fact
from launchers.platforms.placement import Placement, place
from launchers.platforms.presets import Presets

from .cluster import unresolved
from .run import max_restarts, script_of
from .settings import Settings, resolve
from .values import show

VERSION = 1
_LABELS = {
    "nnodes": "nodes",
    "node_rank": "this node",
    "nproc_per_node": "workers here",
    "hosts": "hosts",
    "master_addr": "rank 0 at",
    "master_port": "its port",
    "job_id": "job",
}
MOST_HOSTS = 8


def main(words: Sequence[str]) -> int:
    as_json = "--json" in words[:1]
    settings = resolve(words[1:] if as_json else words, os.environ, Path.cwd())
    script = script_of(settings)
    placement = place(settings, Environment(os.environ, settings.args), script)
    notes = list(placement.notes)
    if placement.topology.nnodes > 1 and (why := unresolved(placement.topology.master_addr)):
        notes.append(f"{why}: named by {placement.facts['master_addr'].origin}")
    presets = Presets(os.environ, settings["env"] or {}, placement.platform.contract.presets)
    write = _json if as_json else _text
    sys.stdout.write(write(settings, placement, presets, [*notes, *presets.warnings(script)]))
    return 0


def _facts(settings: Settings, placement: Placement) -> dict[str, Fact[Any]]:
    """What does not come from the topology alone, beside it."""
    restarts = max_restarts(settings, placement)
    return {**placement.facts, "engine": placement.starting.engine, "max_restarts": restarts}


def _text(settings: Settings, placement: Placement, presets: Presets, notes: Sequence[str]) -> str:
    rows = [("platform", placement.name, placement.because)]
    for name, fact in _facts(settings, placement).items():
        rows.append((_LABELS.get(name, name.replace("_", " ")), _shown(fact.value), fact.origin))
    topology = placement.topology
    first, last = topology.first_rank, topology.first_rank + topology.nproc_per_node - 1
    ranks = f"{first} to {last}" if last > first else str(first)
    rows.append(("ranks here", f"{ranks} of {topology.world_size}", "computed"))
    codes = placement.platform.contract.exit_codes
    rows += [
        ("exit code", f"{ours} becomes {theirs}", placement.platform.title) for ours, theirs in codes.items()
    ]
    rows += [("output", str(path), "made if missing") for path in placement.starting.outputs]
    rows += [(name, value, "input or output") for name, value in placement.starting.variables.items()]
    rows += [(name, fact.value, fact.origin) for name, fact in presets.facts().items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    widths[1] = min(widths[1], 48)
    lines = [f"{label:<{widths[0]}}  {value:<{widths[1]}}  {origin}\n" for label, value, origin in rows]
    return "".join(lines + [f"note: {note}\n" for note in notes])


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        more = len(value) - MOST_HOSTS
        return ", ".join(value[:MOST_HOSTS]) + (f" and {more} more" if more > 0 else "")
    return show(value)


def _json(settings: Settings, placement: Placement, presets: Presets, notes: Sequence[str]) -> str:
    facts = _facts(settings, placement)
    record = {
        "v": VERSION,
        "platform": placement.name,
        "because": placement.because,
        "world_size": placement.topology.world_size,
        "facts": {name: {"value": fact.value, "origin": fact.origin} for name, fact in facts.items()},
        "exit_codes": dict(placement.platform.contract.exit_codes),
        "inputs_and_outputs": dict(placement.starting.variables),
        "variables": {
            name: {"value": fact.value, "origin": fact.origin} for name, fact in presets.facts().items()
        },
        "notes": list(notes),
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
