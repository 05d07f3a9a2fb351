"""ModelArts' SDK: ``Session().obs``, and nothing else of it. For ``--compat modelarts``."""

from .session import Session

__all__ = ["Session"]
