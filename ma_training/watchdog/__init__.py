"""Notices hangs and stragglers: evidence is collected, pure rules judge it, stacks explain it."""

from .evidence import DeviceEvidence, Evidence, Frame, RankEvidence, Stack
from .findings import Cleared, Finding, Hang, Straggler, Suspect
from .learning import Learned
from .rules import State, Watch

__all__ = [
    "Cleared",
    "DeviceEvidence",
    "Evidence",
    "Finding",
    "Frame",
    "Hang",
    "Learned",
    "RankEvidence",
    "Stack",
    "State",
    "Straggler",
    "Suspect",
    "Watch",
]
