"""``import modelarts`` under ``--compat modelarts``: session.obs, and nothing else of the SDK."""

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"modelarts.{name} is not rebuilt here: only modelarts.session.Session().obs is")
