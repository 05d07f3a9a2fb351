"""What every platform is: it says what its environment means, and what it expects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .discovery import Discovery
from .environment import Environment, Fact
from .script import Script
from .starting import Starting, plain


class Contract(NamedTuple):
    """What the platform expects of whoever runs in its container."""

    max_restarts: int | None = None  # None: the option's own default
    exit_codes: Mapping[int, int] = MappingProxyType({})  # of the launcher's own codes
    presets: Mapping[str, str] = MappingProxyType({})  # for workers, where the environment has none
    log_directory: str = ""  # the variable that names it
    service_lines: bool = False  # its users search the log for its own lines

    def exit_code(self, ours: int) -> int:
        """What the platform is told for one of the launcher's own codes."""
        return self.exit_codes.get(ours, ours)


class Platform:
    """Made only where it was recognised, or asked for."""

    title = ""
    contract = Contract()

    def discover(self, environment: Environment) -> Discovery:
        """Raises UsageError where the environment is damaged or contradicts itself."""
        raise NotImplementedError

    def starting(self, environment: Environment, script: Script, engine: Fact[str] | None) -> Starting:
        """How the script is to be started here."""
        return plain(environment, script, engine)
