"""Meeting the job's other nodes, before anything else is begun."""

import select
import socket
import time
import uuid
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from ma_training import __version__
from ma_training.agent.ports import HeldPort
from ma_training.coordination.follower import Joined, Word
from ma_training.coordination.messages import End, Hello, Terms
from ma_training.coordination.node import Meeting, Node
from ma_training.job import Cluster, JobSpec

from .cluster import NotJoined, unresolved
from .errors import UsageError

LAST_WORDS = 5.0  # seconds
FIRST_WORD, MORE_WORDS = 3.0, 30.0  # seconds without a leader until that is said


def meet(
    job: JobSpec, cluster: Cluster, key: bytes, run_id: str, say: Callable[[str], None]
) -> tuple[Node, str]:
    """Joins the job; returns the connection and the id of the run. Raises NotJoined, UsageError."""
    hello = Hello(
        node=uuid.uuid4().hex,
        host=socket.gethostname(),
        address=cluster.address,
        terms=Terms(
            cluster.min_nodes,
            cluster.max_nodes,
            cluster.spare_nodes,
            job.topology.nproc_per_node,
            job.max_restarts,
        ),
        node_rank=cluster.node_rank,
        port=_free_port(),
        versions=_versions(),
    )
    # All agents call the job the same, whatever their clocks say: not by the run's id.
    meeting = Meeting(
        cluster.host,
        cluster.port,
        key,
        job.job_id or job.name,
        cluster.join_timeout,
        cluster.leads,
        cluster.bind,
    )
    node = Node(hello, meeting, run_id)
    try:
        node.start()
    except OSError as error:
        raise UsageError(
            f"cannot lead at {cluster.endpoint}: {error.strerror or error}",
            "this node was taken for the leader; give all nodes --rdzv-endpoint HOST:PORT",
        ) from None
    return node, _wait(node, cluster, say)


def _wait(node: Node, cluster: Cluster, say: Callable[[str], None]) -> str:
    again = time.monotonic() + FIRST_WORD
    try:
        while True:
            ready, _, _ = select.select([node], [], [], max(0.0, again - time.monotonic()))
            if not ready:
                again = time.monotonic() + MORE_WORDS
                why = unresolved(cluster.host) or f"no answer at {cluster.endpoint}"
                say(f"waiting for the leader: {why}")
            for order in node.take():
                if isinstance(order, Word):
                    say(order.text)
                elif isinstance(order, Joined):
                    return order.run_id
                elif isinstance(order, End):
                    raise NotJoined(
                        order.reason or f"the job has {order.outcome} before this node took part",
                        order.exit_code,
                        order.outcome == "refused",
                    )
    except BaseException:
        node.leave("it was interrupted", 0)
        node.close(LAST_WORDS)
        raise


def _free_port() -> int:
    """Where this agent listens if it has to take the leader's place."""
    held = HeldPort()
    held.close()
    return held.port


def _versions() -> dict[str, str]:
    import platform

    found = {"launcher": __version__, "python": platform.python_version()}
    for package in ("torch", "mindspore"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
