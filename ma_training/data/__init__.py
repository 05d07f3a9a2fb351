"""Batches that a resumed run goes on with where the last one stopped."""

from .order import order, share
from .sampler import ResumableBatchSampler

__all__ = ["ResumableBatchSampler", "order", "share"]
