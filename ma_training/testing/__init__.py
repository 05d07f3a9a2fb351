"""For tests of jobs: several nodes on one machine, and a network that fails on command.

``Cluster`` makes nodes out of network namespaces; it needs root and the ``ip`` command (iproute2).
``FakeNode`` has accelerators that are not there, healthy or with each fault of `FAULTS`.
``FaultProxy`` stands between two ends of a TCP connection, and needs nothing. Both use the standard
library alone and are part of the public interface: a user's own tests may import them.
"""

from .fake_node import FakeNode
from .fault_proxy import FaultProxy
from .faults import FAULTS, healthy, rehearse
from .namespaces import Cluster, NamespacesUnavailable, Node, available

__all__ = [
    "FAULTS",
    "Cluster",
    "FakeNode",
    "FaultProxy",
    "NamespacesUnavailable",
    "Node",
    "available",
    "healthy",
    "rehearse",
]
