"""Ground floor: what happened. One line an event, one file a node; all reports are made from these."""

from .files import RunFiles
from .reader import read_events
from .record import Event, EventLog

__all__ = ["Event", "EventLog", "RunFiles", "read_events"]
