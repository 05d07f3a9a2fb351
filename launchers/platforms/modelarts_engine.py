"""ModelArts' engines: how each starts a script, and what it adds to the script's arguments.

    torchrun     one process a card, told all by RANK, WORLD_SIZE and the like; msrun likewise
    pytorch      one process a node: --init_method, --rank and --world_size, which count nodes
    tensorflow   one process a node: --task_name (or --job_name) and --task_index
    ascend       one process a card, told all by RANK_ID, RANK_SIZE and a rank table

Which one a script was written for is seen from the options that it declares. What its text declares
is passed; with the engine named by the user, all that the engine passes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from launchers.cli.errors import UsageError
from ma_training.job import Attempt

from .environment import HINT, Environment, Fact
from .script import Script
from .starting import OUTPUTS, Starting, local_outputs

ENGINES = ("torchrun", "msrun", "pytorch", "tensorflow", "ascend")
RENDEZVOUS = ("init_method", "rank", "world_size")
TASK = ("task_name", "job_name", "task_index")
NODE = {"pytorch": RENDEZVOUS, "tensorflow": ("task_name", "task_index")}


def starting(
    environment: Environment, script: Script, engine: Fact[str] | None, outputs: Sequence[str] = OUTPUTS
) -> Starting:
    """``outputs``: names of arguments that are output directories."""
    chosen = _engine(environment, script, engine)
    wanted = NODE.get(chosen.value, ()) if engine else ()
    names = [name for name in (*RENDEZVOUS, *TASK) if name in script.declared or name in wanted]
    if "job_name" in names and "task_name" in names and "task_name" not in script.declared:
        names.remove("task_name")
    data = _data(environment)
    options = _Options(
        tuple(name for name in names if script.given(name) is None) if chosen.value in NODE else (),
        {
            name: value
            for name, value in data.items()
            if name in script.declared and script.given(name) is None
        },
        _task(environment),
    )
    return Starting(
        chosen,
        processes=Fact(1, f"{chosen.origin}: one process a node") if chosen.value in NODE else None,
        arguments=options.of,
        variables={name: value for name, value in data.items() if name not in environment},
        outputs=(
            *local_outputs(script, outputs),
            *(Path(local) for _, local in _entries(environment, "MA_OUTPUTS") if "://" not in local),
        ),
        remote_inputs=_remotes(environment, "MA_INPUTS"),
        remote_outputs=_remotes(environment, "MA_OUTPUTS"),
    )


class _Options(NamedTuple):
    names: tuple[str, ...]
    data: Mapping[str, str]
    task: tuple[str, int | None]

    def of(self, attempt: Attempt) -> Sequence[str]:
        topology = attempt.topology
        host = topology.master_addr
        host = f"[{host}]" if ":" in host else host
        name, index = self.task
        values = {
            "init_method": f"tcp://{host}:{attempt.master_port}",
            "rank": topology.node_rank,
            "world_size": topology.nnodes,
            "task_name": name,
            "job_name": name,
            "task_index": topology.node_rank if index is None else index,
        }
        return (
            *(f"--{name}={values[name]}" for name in self.names),
            *(f"--{name}={value}" for name, value in self.data.items()),
        )


def _engine(environment: Environment, script: Script, given: Fact[str] | None) -> Fact[str]:
    method = given or environment.text("MA_RUN_METHOD")
    if method:
        if method.value not in ENGINES:
            raise UsageError(f"{method.origin}: {method.value!r} is none of {', '.join(ENGINES)}")
        return method
    for engine, names in (("pytorch", RENDEZVOUS), ("tensorflow", TASK)):
        found = [f"--{name}" for name in names if name in script.declared]
        if len(found) > 1 and script.path:  # --rank alone may be anything
            return Fact(engine, f"{script.path.name} has {' and '.join(found)}")
    return Fact("torchrun", "default")


def _task(environment: Environment) -> tuple[str, int | None]:
    name = environment.text("MA_TASK_NAME")
    index = environment.whole("VC_TASK_INDEX", "MA_TASK_INDEX", "DLS_TASK_INDEX")
    return name.value if name else "worker", index.value if index else None


def _data(environment: Environment) -> dict[str, str]:
    """Inputs and outputs: local directory by name. Those of v1 are remote, its scripts copy them."""
    found = {
        name: local for kind in ("MA_INPUTS", "MA_OUTPUTS") for name, local in _entries(environment, kind)
    }
    for name, variable in (("data_url", "DLS_DATA_URL"), ("train_url", "DLS_TRAIN_URL")):
        if (url := environment.text(variable)) and name not in found:
            found[name] = url.value
    return found


def _entries(environment: Environment, variable: str) -> list[tuple[str, str]]:
    """(name, local directory) of each; in v2's form, or in v1's."""
    fact = environment.json(variable)
    if fact is None:
        return []
    listed = fact.value.get(variable.removeprefix("MA_").lower()) if isinstance(fact.value, dict) else None
    if not isinstance(listed, list):
        raise UsageError(f"{variable} holds no list of {variable.removeprefix('MA_').lower()}", HINT)
    return [_entry(entry, variable) for entry in listed]


def _remotes(environment: Environment, variable: str) -> tuple[tuple[str, str], ...]:
    """(local directory, URL) of each entry that has both; obs_url may lack its scheme."""
    fact = environment.json(variable)
    found = []
    for entry in fact.value.get(variable.removeprefix("MA_").lower(), ()) if fact else ():
        remote = entry.get("remote") if isinstance(entry, dict) else None
        url = remote.get("obs", {}).get("obs_url") if isinstance(remote, dict) else None
        if isinstance(url, str) and isinstance(local := entry.get("local_dir"), str):
            found.append((local, url if "://" in url else f"obs://{url.lstrip('/')}"))
    return tuple(found)


def _entry(entry: Any, variable: str) -> tuple[str, str]:
    if isinstance(entry, dict):
        parameter = entry.get("parameter")
        if isinstance(parameter, dict) and isinstance(parameter.get("label"), str):  # v1
            base = f"/home/work/modelarts/{variable.removeprefix('MA_').lower()}"
            return parameter["label"], f"{base}/{parameter.get('value', '')}"
        name, local = entry.get("name"), entry.get("local_dir")
        if isinstance(name, str) and isinstance(local, str) and name.isprintable() and "=" not in name:
            return name, local
    raise UsageError(f"{variable}: {str(entry)[:200]} has no name and local_dir", HINT)
