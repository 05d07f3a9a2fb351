"""What nodes have told of themselves, side by side: whoever differs from the others is named. Pure."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .check import NETWORK, SPEED, SYSTEM
from .finding import Finding, fail, ok, skipped, warn
from .limits import Limits
from .pairs import Rates, slow_links, slow_nodes
from .speed import UNITS


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Of one node. What it does not know is left out."""

    rank: int
    name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    mtu: int | None = None
    offset: float | None = None  # seconds by which its clock is ahead of the leader's
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"node {self.rank} ({self.name})"


def compare(nodes: Sequence[NodeFacts], limits: Limits) -> list[Finding]:
    return [
        _named(
            "same-packages", SYSTEM, _same(nodes, lambda node: node.versions, "install the same on all nodes")
        ),
        _named(
            "same-settings",
            NETWORK,
            _same(nodes, lambda node: node.settings, "set it for all nodes alike; nothing is set for you"),
        ),
        _named("same-mtu", NETWORK, _same_mtu(nodes)),
        _named("clock-skew", SYSTEM, _skew(nodes, limits.clock)),
        *(_named(f"{name}-of-all", SPEED, _speed(nodes, name, limits.slower)) for name in UNITS),
    ]


def _named(check: str, group: str, finding: Finding) -> Finding:
    return replace(finding, check=check, group=group)


def _same(nodes: Sequence[NodeFacts], pick: Callable[[NodeFacts], Mapping[str, str]], fix: str) -> Finding:
    """The most frequent value is taken for right; of two nodes, the first one's."""
    names = sorted({name for node in nodes for name in pick(node)})
    odd = []
    for name in names:
        usual = Counter(pick(node).get(name, "") for node in nodes).most_common(1)[0][0]
        for node in nodes:
            value = pick(node).get(name, "")
            if value != usual:
                odd.append(f"{node.title}: {name} {value or 'not there'}, elsewhere {usual or 'not there'}")
    if odd:
        more = f"; and {len(odd) - 6} more" if len(odd) > 6 else ""
        return warn("; ".join(odd[:6]) + more, fix, "the same on all nodes")
    return ok(f"{len(names)} alike on {len(nodes)} nodes")


def _same_mtu(nodes: Sequence[NodeFacts]) -> Finding:
    known = {node.title: str(node.mtu) for node in nodes if node.mtu is not None}
    if len(set(known.values())) > 1:
        what = "; ".join(f"{title}: {mtu}" for title, mtu in known.items())
        return warn(what, "ip link set INTERFACE mtu N, the same on all nodes", "the same on all nodes")
    return ok(f"{next(iter(known.values()))} on all nodes") if known else skipped("not known of any node")


def _skew(nodes: Sequence[NodeFacts], most: float) -> Finding:
    """Against the median: the leader's own clock may be the one that is off."""
    known = [(node.title, node.offset) for node in nodes if node.offset is not None]
    if len(known) < 2:
        return skipped("not known of two nodes")
    middle = statistics.median(value for _, value in known)
    off = [f"{title}: {value - middle:+.1f} s" for title, value in known if abs(value - middle) > most]
    required = f"within {most:g} s"
    if off:
        return warn("; ".join(off), "start chronyd on these hosts", required, ("A050146",))
    widest = max(abs(value - middle) for _, value in known)
    return ok(f"at most {widest:.2f} s apart", required)


def _speed(nodes: Sequence[NodeFacts], name: str, slower: float) -> Finding:
    known = [(node.title, node.rates[name]) for node in nodes if name in node.rates]
    if len(known) < 2:
        return skipped("not measured on two nodes")
    middle, unit = statistics.median_high(rate for _, rate in known), UNITS[name]
    slow = [f"{title}: {rate:.3g} {unit}" for title, rate in known if rate * slower < middle]
    required = f"at least {middle / slower:.3g} {unit}: the median is {middle:.3g}"
    if slow:
        return warn("; ".join(slow), "all nodes wait for the slowest: look at it, or take another", required)
    return ok(
        f"{min(rate for _, rate in known):.3g} to {max(rate for _, rate in known):.3g} {unit}", required
    )


def judge_network(nodes: Sequence[NodeFacts], rates: Rates, slower: float) -> Finding:
    """Of the two rounds. Names the slow node, not the pair; a pair where only the way between is slow."""
    titles = {node.rank: node.title for node in nodes}
    return _named("network-pairs", NETWORK, _network(titles, rates, slower))


def _network(titles: Mapping[int, str], rates: Rates, slower: float) -> Finding:
    if not rates:
        return skipped("nothing was measured")
    best = max((rate for rate in rates.values() if rate), default=0.0)
    required = f"within {slower:g} times of each other"
    nodes, links = slow_nodes(rates, slower), slow_links(rates, slower)
    dead = [pair for pair, rate in rates.items() if rate is None]
    fix = "look at its cable, adapter and switch port, or take another node"
    if nodes:
        slow = {node: max(rate or 0.0 for pair, rate in rates.items() if node in pair) for node in nodes}
        what = "; ".join(f"{titles[node]}: {rate:.3g} MB/s at best" for node, rate in slow.items())
        judge = fail if not all(slow.values()) else warn
        return judge(f"{what}; the fastest pair has {best:.3g} MB/s", fix, required)
    if links or dead:
        what = "; ".join(
            f"{titles[a]} and {titles[b]}: "
            + ("no connection" if rates[a, b] is None else f"{rates[a, b]:.3g} MB/s")
            for a, b in links or dead
        )
        return (fail if dead else warn)(what, "look at the way between these two", required)
    slowest = min(rate for rate in rates.values() if rate is not None)
    return ok(f"{slowest:.3g} to {best:.3g} MB/s over {len(rates)} pairs", required)


def judge_ring(nodes: Sequence[NodeFacts], rates: Mapping[int, float | None], slower: float) -> Finding:
    """Of all nodes sending to the next one at once, as a ring all-reduce does. ``rates``: by sender."""
    titles = {node.rank: node.title for node in nodes}
    known = [rate for rate in rates.values() if rate is not None]
    dead = [titles[rank] for rank, rate in rates.items() if rate is None]
    if dead or not known:
        finding = fail(
            f"no answer from {', '.join(dead) or 'any node'}", "see network-pairs: who is slow there?"
        )
    else:
        middle = statistics.median_high(known)
        slow = [
            f"{titles[rank]}: {rate:.3g} MB/s"
            for rank, rate in rates.items()
            if rate and rate * slower < middle
        ]
        required = f"within {slower:g} times of the median, {middle:.3g} MB/s"
        finding = (
            warn(
                "; ".join(slow) + " to the next node",
                "see network-pairs for which of the two it is",
                required,
            )
            if slow
            else ok(
                f"{min(known):.3g} to {max(known):.3g} MB/s each, all {len(known)} nodes at once", required
            )
        )
    return _named("collective", NETWORK, finding)
