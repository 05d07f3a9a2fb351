"""MindCluster's AscendJob: WORLD_SIZE counts NPUs, RANK is the pod's, LOCAL_RANK a list of all in it."""

from launchers.cli.errors import UsageError

from .base import Contract, Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact

PRESETS = {"HCCL_CONNECT_TIMEOUT": "1800"}  # the kernel compiles for longer than its default of 120 s


class AscendJob(Platform):
    title = "MindCluster AscendJob"
    contract = Contract(presets=PRESETS)

    def discover(self, environment: Environment) -> Discovery:
        if "MS_WORKER_NUM" in environment or "MS_SCHED_HOST" in environment:
            names = ("MS_WORKER_NUM", "MS_LOCAL_WORKER", "MS_NODE_RANK", "MS_SCHED_HOST", "MS_SCHED_PORT")
        else:
            names = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT")
        npus, here, rank, address, port = names
        found = Discovery(
            workers=self._workers(environment, here),
            node_rank=environment.whole(rank),
            master_addr=environment.text(address),
            master_port=environment.whole(port, least=1),
            job_id=environment.text("MINDX_TASK_ID"),
        )
        total = environment.whole(npus, least=1)
        if total is None and found.node_rank:
            raise UsageError(
                f"{rank} is {found.node_rank.value}, but {npus} does not say how many there are", HINT
            )
        if total and found.workers:
            each = found.workers
            if total.value % each.value:
                raise UsageError(
                    f"{total.origin} is {total.value} NPUs, not a multiple of {each.origin}, {each.value}",
                    HINT,
                )
            found.nnodes = Fact(total.value // each.value, f"{total.origin} / {each.origin}")
        elif total:
            raise UsageError(
                f"{total.origin} is {total.value} NPUs, but {here} does not say how many are here", HINT
            )
        return found

    def _workers(self, environment: Environment, name: str) -> Fact[int] | None:
        count = environment.whole(name, least=1)
        listed = environment.text("LOCAL_RANK")
        if listed is None or not ("," in listed.value or listed.value.startswith("{")):
            return count
        entries = [entry.strip() for entry in listed.value.strip("{}[]").split(",")]
        if entries != [str(number) for number in range(len(entries))]:
            raise UsageError(f"LOCAL_RANK is {listed.value!r}, not a list 0,1,2,...", HINT)
        if count and count.value != len(entries):
            raise UsageError(
                f"{count.origin} is {count.value}, but LOCAL_RANK lists {len(entries)}: {listed.value}", HINT
            )
        return count or Fact(len(entries), "LOCAL_RANK")
