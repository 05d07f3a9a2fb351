"""A machine like any other: the topology is what the options say."""

from .base import Platform
from .discovery import Discovery
from .environment import Environment


class Local(Platform):
    title = "no platform"

    def discover(self, environment: Environment) -> Discovery:
        return Discovery()
