"""What goes to and comes from storage beside a job: inputs, outputs, checkpoints, logs.

The agent's side is transfers.py; all copying is done by a process of its own (process.py), so that the agent
imports no client and holds no connection. That process ends with the agent, however that ends.
"""

from .plan import Input, Output, TransferPlan
from .transfers import TransferError, Transfers

__all__ = ["Input", "Output", "TransferError", "TransferPlan", "Transfers"]
