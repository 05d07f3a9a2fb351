"""Variables that steer devices and networks: who has set each, and which word counts.

The user's --env comes before what was set here, that before the launcher's own presets. Nothing
that is set is ever overwritten by the launcher.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from launchers.cli.errors import UsageError

from .environment import Fact
from .script import Script

STEERING = re.compile(
    r"(CUDA|NVIDIA|ROCR|HIP|ASCEND|ASCEND_RT)_VISIBLE_DEVICES|(NCCL|HCCL|GLOO|UCX|TORCH_NCCL)_\w+|OMP_NUM_THREADS"
)
# What a worker is told by the launcher, and must not be told otherwise.
OWN = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+|LAUNCHER_WORKER_\w+"
)
INTERFACE = "NCCL_SOCKET_IFNAME"
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


def masked(variables: Mapping[str, str]) -> dict[str, str]:
    """For showing: what a secret's name stands before is not."""
    return {name: "***" if _SECRET.search(name) else value for name, value in variables.items()}


@dataclass(frozen=True, slots=True)
class Presets:
    """``here``: the launcher's environment; ``given``: the user's --env; ``defaults``: the contract's."""

    here: Mapping[str, str]
    given: Mapping[str, str]
    defaults: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in self.given:
            if OWN.fullmatch(name):
                raise UsageError(
                    f"--env {name}: the launcher sets that for each worker",
                    "leave it out; it comes from --nnodes, --node-rank, --nproc-per-node and --master-addr",
                )

    def variables(self) -> dict[str, str]:
        """What is to be laid over ``here``."""
        return {
            **{name: value for name, value in self.defaults.items() if name not in self.here},
            **self.given,
        }

    def facts(self) -> dict[str, Fact[str]]:
        """All that steer, with who said so."""
        found = {
            name: Fact(value, "set here") for name, value in self.here.items() if STEERING.fullmatch(name)
        }
        for name, value in self.defaults.items():
            found.setdefault(name, Fact(value, "the launcher's preset"))
        for name, value in self.given.items():
            before = self.here.get(name)
            found[name] = Fact(value, "--env" if before is None else f"--env (was set here to {before})")
        hidden = masked({name: fact.value for name, fact in found.items()})
        return {name: Fact(hidden[name], found[name].origin) for name in sorted(found)}

    def warnings(self, script: Script) -> list[str]:
        """Where the network interface that the platform has chosen is lost."""
        preset = self.here.get(INTERFACE)
        if preset is None:
            return []
        found = []
        if self.given.get(INTERFACE, preset) != preset:
            found.append(f"--env {INTERFACE}={self.given[INTERFACE]} replaces {preset}, which was set here")
        if (line := script.sets(INTERFACE)) and script.path:
            found.append(
                f"{script.path.name}:{line} sets {INTERFACE}, which is set here to {preset}, as fits this "
                "machine: take that line out if ranks do not find each other"
            )
        return found
