"""Keeping a folder and its copy in object storage alike while others write to it: decisions, and locks.

What is due is decided in plan.py (pure) and resuming.py (pure); lease.py sees to it that one job at a time
writes to a place in storage, turn.py that one process at a time works on a local directory.
"""

from .holder import Holder
from .lease import LEASE, Claim, Held, Lease, Lost
from .plan import Rule, Watch
from .resuming import Resume, resume
from .selected import Selected
from .trouble import Troubles
from .turn import FOLDER, Turn, TurnLost, folder_of, is_ours

__all__ = [
    "FOLDER",
    "LEASE",
    "Claim",
    "Held",
    "Holder",
    "Lease",
    "Lost",
    "Resume",
    "Rule",
    "Selected",
    "Troubles",
    "Turn",
    "TurnLost",
    "Watch",
    "folder_of",
    "is_ours",
    "resume",
]
