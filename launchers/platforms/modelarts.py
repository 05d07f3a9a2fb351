"""Huawei's ModelArts, v2 with v1's names as a fallback. Rank and world size count nodes."""

import re

from launchers.cli.errors import UsageError

from . import modelarts_engine
from .base import Contract, Platform
from .discovery import Discovery
from .environment import Environment, Fact, host_list, split_endpoint
from .script import Script
from .starting import Starting

PORT = 6666
_V1_HOSTS = r"BATCH_CUSTOM(\d+)_HOSTS"
_V1_ONE_HOST = r"BATCH_.+\.0_HOSTS"


class ModelArts(Platform):
    title = "ModelArts"
    # Its own fault tolerance restarts the job, where its user has switched that on.
    contract = Contract(
        max_restarts=0,
        presets={"HCCL_CONNECT_TIMEOUT": "1800"},
        log_directory="MA_LOG_DIR",
        service_lines=True,
    )

    def discover(self, environment: Environment) -> Discovery:
        found = Discovery(job_id=job_id(environment), nnodes=self._nodes(environment))
        found.node_rank = environment.whole("RANK_AFTER_ACC") or environment.agreed(
            "VC_TASK_INDEX", "VK_TASK_INDEX", "MA_TASK_INDEX", "DLS_TASK_INDEX"
        )
        cards = environment.whole("MA_NUM_GPUS")
        found.workers = Fact(max(1, cards.value), cards.origin) if cards else None
        found.hosts = environment.hosts("VC_WORKER_HOSTS") or self._v1_hosts(environment)
        if found.nnodes is None and found.hosts:
            found.nnodes = Fact(len(found.hosts.value), found.hosts.origin)
        if found.nnodes and found.nnodes.value > 1:
            if found.node_rank is None:
                raise UsageError(
                    f"{found.nnodes.origin} says {found.nnodes.value} nodes, but neither RANK_AFTER_ACC nor "
                    "VC_TASK_INDEX says which one this is",
                    "say it with --node-rank",
                )
            found.master_addr = self._master(environment, found.hosts)
            found.master_port = self._port(environment, found.hosts)
        self._note_routing(environment, found)
        return found

    def starting(self, environment: Environment, script: Script, engine: Fact[str] | None) -> Starting:
        return modelarts_engine.starting(environment, script, engine)

    def _nodes(self, environment: Environment) -> Fact[int] | None:
        """Parameter servers are nodes too, but MA_NUM_HOSTS does not count them."""
        return environment.agreed("MA_NUM_HOSTS", "VC_WORKER_NUM", "DLS_TASK_NUMBER", least=1)

    def _v1_hosts(self, environment: Environment) -> Fact[tuple[str, ...]] | None:
        lists = [
            name for name in environment.variables if name.startswith("BATCH_") and name.endswith("_HOSTS")
        ]
        numbered = {int(match[1]): name for name in lists if (match := re.fullmatch(_V1_HOSTS, name))}
        names = [numbered[number] for number in sorted(numbered)]
        names = names or [name for name in lists if re.fullmatch(_V1_ONE_HOST, name)]
        if not names:
            return None
        entries = [entry for name in names for entry in environment.variables[name].split(",")]
        return host_list(entries, names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}")

    def _master(self, environment: Environment, hosts: Fact[tuple[str, ...]] | None) -> Fact[str] | None:
        if hosts:
            return Fact(hosts.value[0], f"first of {hosts.origin}")
        job = environment.text("MA_VJ_NAME")
        if job is None:
            return None
        task = environment.text("MA_TASK_NAME")
        pod = f"{job.value}-{task.value if task else 'worker'}-0"
        service, namespace = environment.text("MA_HJ_NAME"), environment.text("MA_NAMESPACE")
        if service and namespace:
            host = f"{pod}.{service.value}.{namespace.value}.svc.cluster.local"
            return Fact(host, f"{job.origin}, {service.origin} and {namespace.origin}")
        return Fact(f"{pod}.{job.value}", job.origin)

    def _port(self, environment: Environment, hosts: Fact[tuple[str, ...]] | None) -> Fact[int]:
        """v1 names it with each host."""
        name = hosts.origin.split()[0] if hosts else ""
        listed = environment.text(name)
        port = split_endpoint(listed.value.split(",")[0].strip(), name)[1] if listed else None
        return Fact(port, name) if port else Fact(PORT, "ModelArts'")

    def _note_routing(self, environment: Environment, found: Discovery) -> None:
        routed, index = environment.whole("RANK_AFTER_ACC"), environment.whole("VC_TASK_INDEX")
        if routed and index and routed.value == 0 != index.value and found.master_addr:
            found.notes.append(
                f"RANK_AFTER_ACC makes this node rank 0, but {found.master_addr.value} is named first by "
                f"{found.master_addr.origin}: give all nodes --master-addr if they do not find each other"
            )


def job_id(environment: Environment) -> Fact[str] | None:
    """As the platform shows it: MA_VJ_NAME has another beginning."""
    job = environment.text("BATCH_JOB_ID", "MA_VJ_NAME")
    if job is None or not job.value.startswith("ma-job"):
        return job
    return Fact(f"modelarts-job{job.value.removeprefix('ma-job')}", job.origin)
