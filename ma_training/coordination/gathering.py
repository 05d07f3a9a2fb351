"""Between two attempts: who may take part in the next, how long to wait for more, who is missing. Pure."""

from ma_training.job import format_duration

from .ledger import Ledger
from .plan import Candidate, assign
from .quorum import Quorum
from .roster import Member, Roster

LAST_CALL = 3.0  # seconds that an elastic job waits for one more node
FIRST_WORD = 5.0  # seconds, after a loss
MISSING_EVERY = 60.0  # seconds between words about who is missing


class Gathering:
    def __init__(
        self, roster: Roster, ledger: Ledger, quorum: Quorum, join_timeout: float, now: float
    ) -> None:
        self._roster, self._ledger, self._quorum = roster, ledger, quorum
        self._join_timeout = join_timeout
        self.last_nodes: list[str] = []  # of the last plan, by node rank
        self._hosts: dict[str, str] = {}  # of all nodes that were ever there
        self._claims: dict[str | int, list[str]] = {}  # nodes, by the rank that they want, or their machine
        self._last_join = now
        self.open(now)

    def open(self, now: float) -> None:
        self._since = self._not_before = self._said = now
        if self.last_nodes:  # nodes were lost: that is said sooner than that some start late
            self._said = now - MISSING_EVERY + FIRST_WORD

    def delay(self, until: float) -> None:
        """No attempt before that."""
        self._not_before = until

    def joined(self, member: Member, now: float) -> None:
        self._last_join = now
        wanted = member.hello.node_rank
        claim = member.machine if wanted is None else wanted
        if member.node not in self._hosts:
            # A new agent of a silent one's rank, or machine, means that the old one is dead.
            earlier = self._claims.setdefault(claim, [])
            replaced = next((node for node in earlier if node not in self._roster.by_node), None)
            if replaced is not None:
                self._quorum.account_for(replaced)
                earlier.remove(replaced)
            earlier.append(member.node)
        self._hosts[member.node] = member.host

    def waits(self) -> list[float]:
        """When something may change by itself."""
        return [
            self._not_before,
            self._last_call,
            self._said + MISSING_EVERY,
            self._since + self._join_timeout,
        ]

    @property
    def _last_call(self) -> float:
        return max(self._last_join, self._since) + LAST_CALL

    def settled(self, now: float) -> bool:
        """No one has joined for a while."""
        return now >= self._last_join + LAST_CALL

    # --- enough? ---

    def order(self, now: float) -> list[str]:
        """The next attempt's nodes by node rank; none where it is not to begin yet."""
        terms = self._roster.terms
        if terms is None or now < self._not_before or len(self._roster.members) < terms.min_nodes:
            return []  # without a look at each: thousands join one by one
        if len(self._roster.members) < terms.max_nodes and not self.last_nodes and now < self._last_call:
            return []
        candidates = self._candidates(now)
        present = {member.node for member in candidates}
        # With all of the last attempt there, an elastic job has no one to wait for.
        complete = bool(self.last_nodes) and present.issuperset(self.last_nodes)
        enough = len(candidates) >= terms.max_nodes or (
            len(candidates) >= terms.min_nodes and (complete or now >= self._last_call)
        )
        if not enough or not self._quorum.met(self._roster.by_node):
            return []
        before = {node: rank for rank, node in enumerate(self.last_nodes)}
        claims = [Candidate(m.node, m.hello.node_rank, before.get(m.node)) for m in candidates]
        return assign(claims, terms.max_nodes)

    def _candidates(self, now: float) -> list[Member]:
        """In the order in which they joined; excluded ones only where the job cannot do without."""
        members = [member for member in self._roster.members.values() if member.away_by is None]
        good = [member for member in members if not self._ledger.excludes(member.machine, now)]
        least = self._roster.terms.min_nodes if self._roster.terms else 1
        return good if len(good) >= least else members

    def outvoted(self) -> bool:
        """So many went silent at once that they may follow another leader."""
        return not self._quorum.met(self._roster.by_node)

    def may_grow(self, size: int) -> bool:
        """An attempt of ``size`` nodes is smaller than it might be, and there is someone for it."""
        terms = self._roster.terms
        if terms is None or size >= terms.max_nodes:
            return False
        return any(
            member.rank is None and not self._ledger.excludes(member.machine, member.heard)
            for member in self._roster.members.values()
        )

    # --- who is missing ---

    def overdue(self, now: float) -> bool:
        return now >= self._since + self._join_timeout

    def word(self, now: float) -> str:
        """Who has not come, now and then; '' in between."""
        if not self.overdue(now) and now < self._said + MISSING_EVERY:
            return ""
        self._said = now
        candidates = self._candidates(now)
        present = {member.node for member in candidates}
        gone = [self._hosts[n] for n in self.last_nodes if n in self._hosts and n not in present]
        return f"{self._roster.missing(candidates, gone)} after {format_duration(now - self._since)}"
