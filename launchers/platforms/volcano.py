"""Volcano: its svc plugin names all pods by task, its pytorch plugin gives them ranks."""

import re

from launchers.cli.errors import UsageError

from .base import Platform
from .discovery import Discovery
from .environment import HINT, Environment, Fact
from .registry import is_volcano_list

PORT = 23456  # of its pytorch plugin
FIRST = ("MASTER", "CHIEF")  # tasks that come before others


class Volcano(Platform):
    title = "Volcano"

    def discover(self, environment: Environment) -> Discovery:
        lists = tasks(environment)
        if environment.text("RANK") and environment.text("WORLD_SIZE"):
            return self._by_pytorch_plugin(environment, lists)
        found = Discovery()
        index = environment.agreed("VC_TASK_INDEX", "VK_TASK_INDEX")
        if not lists:
            if index and index.value:
                raise UsageError(
                    f"{index.origin} is {index.value}, but no VC_<TASK>_HOSTS says where the others are",
                    "give the job Volcano's svc plugin, or write --nnodes, --node-rank and --master-addr",
                )
            return found
        hosts = [host for hosts in lists.values() for host in hosts.value]
        names = ", ".join(fact.origin for fact in lists.values())
        found.hosts = Fact(tuple(hosts), names)
        counts = (environment.whole(f"VC_{task}_NUM") for task in lists) if len(lists) == 1 else ()
        found.nnodes = next((count for count in counts if count), None) or Fact(len(hosts), names)
        found.node_rank = index if len(lists) == 1 else self._rank_by_name(environment, hosts, names)
        if found.node_rank is None:
            found.node_rank = self._rank_by_name(environment, hosts, names)
        if len(hosts) > 1:
            found.master_addr = Fact(hosts[0], f"first of {next(iter(lists.values())).origin}")
            found.master_port = environment.whole("MASTER_PORT", least=1) or Fact(PORT, "Volcano's")
        return found

    def _by_pytorch_plugin(
        self, environment: Environment, lists: dict[str, Fact[tuple[str, ...]]]
    ) -> Discovery:
        pods = environment.whole("WORLD_SIZE", least=1)
        named = sum(len(hosts.value) for hosts in lists.values())
        if pods and named and named < pods.value:
            names = ", ".join(hosts.origin for hosts in lists.values())
            raise UsageError(f"WORLD_SIZE is {pods.value} pods, but {names} names {named}", HINT)
        return Discovery(
            nnodes=pods,
            node_rank=environment.whole("RANK"),
            master_addr=environment.text("MASTER_ADDR"),
            master_port=environment.whole("MASTER_PORT", least=1),
        )

    def _rank_by_name(self, environment: Environment, hosts: list[str], names: str) -> Fact[int]:
        own = environment.hostname
        at = [number for number, host in enumerate(hosts) if own in (host, host.partition(".")[0])]
        if len(at) != 1:
            raise UsageError(
                f"{names} do not name this host, {own}: {', '.join(hosts)[:300]}",
                "say which node this is with --node-rank",
            )
        return Fact(at[0], f"{own} in {names}")


def tasks(environment: Environment) -> dict[str, Fact[tuple[str, ...]]]:
    """Hosts by task, masters first; checked against VC_<TASK>_NUM."""
    found = {}
    for name in filter(is_volcano_list, environment.variables):
        task = name[3:-6]
        hosts = environment.hosts(name)
        count = environment.whole(f"VC_{task}_NUM")
        if hosts is None:
            if count and count.value:
                raise UsageError(f"{count.origin} is {count.value}, but {name} is empty", HINT)
            continue
        if count and count.value != len(hosts.value):
            raise UsageError(
                f"{count.origin} is {count.value}, but {name} names {len(hosts.value)}: "
                f"{', '.join(hosts.value)[:300]}",
                HINT,
            )
        found[task] = hosts
    return dict(
        sorted(found.items(), key=lambda item: (*(item[0] != first for first in FIRST), _natural(item[0])))
    )


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
