"""SageMaker: AWS's toolkit sets SM_* variables; without it, a file names the hosts."""

from launchers.cli.errors import UsageError

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact, host_list

PORT = 7777
RESOURCES = "opt/ml/input/config/resourceconfig.json"


class SageMaker(Platform):
    title = "SageMaker"

    def discover(self, environment: Environment) -> Discovery:
        hosts, current = self._hosts(environment)
        found = Discovery(
            nnodes=Fact(len(hosts.value), hosts.origin),
            hosts=hosts,
            job_id=environment.text("TRAINING_JOB_NAME"),
        )
        if current.value not in hosts.value:
            raise UsageError(
                f"{current.origin} is {current.value}, which {hosts.origin} does not name: "
                f"{', '.join(hosts.value)}",
                HINT,
            )
        found.node_rank = Fact(hosts.value.index(current.value), current.origin)
        gpus = environment.whole("SM_NUM_GPUS")
        neurons = environment.whole("SM_NUM_NEURONS")
        devices = gpus if gpus and gpus.value else neurons
        found.workers = devices if devices and devices.value else None
        if len(hosts.value) > 1:
            found.master_addr = Fact(hosts.value[0], f"first of {hosts.origin}")
            found.master_port = Fact(PORT, "SageMaker's")
        return found

    def _hosts(self, environment: Environment) -> tuple[Fact[tuple[str, ...]], Fact[str]]:
        listed, current = environment.json("SM_HOSTS"), environment.text("SM_CURRENT_HOST")
        if listed is None or current is None:
            path = environment.root / RESOURCES
            origin = f"/{RESOURCES}"
            import json

            try:
                resources = json.loads(path.read_text())
                listed = Fact(resources["hosts"], origin)
                current = Fact(resources["current_host"], f"current_host in {origin}")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    f"SM_HOSTS and SM_CURRENT_HOST are not both set, and {origin} does not say it: {error!r}",
                    HINT,
                ) from None
        names = listed.value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{listed.origin} is {names!r}, which is not a list of hosts", HINT)
        return host_list(names, listed.origin), current
