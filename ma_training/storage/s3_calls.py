"""One request, until it succeeds, cannot, or has been tried often enough. Each try is signed anew."""

import time
from collections.abc import Callable
from typing import TypeVar

import botocore.exceptions as boto

from .endpoints import Endpoint
from .hosts import Host, host_of
from .s3_errors import CONNECTION, date_of, explain, is_missing, may_repeat, status_of

Result = TypeVar("Result")


class Calls:
    """Requests to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.tries = endpoint.tries
        self._name = endpoint.host

    @property
    def host(self) -> Host:
        return host_of(self._name)

    def do(self, what: str, request: Callable[[], Result]) -> Result:
        """Raises a StorageError; ``what`` is for its text: "read obs://b/k"."""
        tried = 0
        while True:
            sent = time.time()
            try:
                result = request()
            except (boto.BotoCoreError, boto.ClientError, *CONNECTION) as error:
                tried += 1
                if self._clock_was_wrong(error, sent) and tried < self.tries:
                    continue
                if not may_repeat(error) or tried >= self.tries:
                    raise explain(error, what, tried) from None
            else:
                self.host.succeeded()
                return result
            self.host.wait(tried)

    def find(self, what: str, request: Callable[[], Result]) -> Result | None:
        """None where there is no such key."""

        def asked() -> Result | None:
            try:
                return request()
            except boto.ClientError as error:
                if is_missing(error):
                    return None
                raise

        return self.do(what, asked)

    def _clock_was_wrong(self, error: Exception, sent: float) -> bool:
        """By the answer's date. HEAD's has no code: there a 403 from another time is taken for it."""
        if not isinstance(error, boto.ClientError):
            return False
        status, code = status_of(error)
        skewed = code == "RequestTimeTooSkewed" or (status == 403 and code == "403")
        return skewed and self.host.correct_clock(date_of(error), sent)
