"""How long the property tests look: `SOAK=1` for hours of it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

SOAK = os.environ.get("SOAK") == "1"

settings.register_profile("quick", max_examples=200, stateful_step_count=50, deadline=None)
settings.register_profile("soak", max_examples=10_000, stateful_step_count=100, deadline=None)
settings.load_profile("soak" if SOAK else "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SOAK:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(0))  # the usual limit is made for the quick profile
