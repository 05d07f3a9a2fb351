"""Holds the leases of a job, and renews them beside whatever else is done."""

import threading
from collections.abc import Callable, Mapping, Sequence

from ma_training.storage import StorageError, open_store
from ma_training.storage.sync import Claim, Lease, Lost
from ma_training.storage.sync.lease import RENEW_EVERY


class Leases:
    """``lost(url, why)`` is told, by another thread, where another job has taken one over."""

    def __init__(
        self, urls: Sequence[str], claim: Claim, lost: Callable[[str, str], None], environ: Mapping[str, str]
    ) -> None:
        self._leases = {url: Lease(open_store(url, environ), claim) for url in urls}
        self._lost = lost
        self._held: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def check(self) -> None:
        """Raises Held where another job has one."""
        for lease in self._leases.values():
            lease.check()

    def take(self) -> None:
        """All of them. Raises Held; those that were taken before are given back."""
        try:
            for url, lease in self._leases.items():
                lease.take()
                self._held.append(url)
        except StorageError:
            self._give_back()
            raise
        self._thread.start()

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_EVERY):
            for url in list(self._held):
                try:
                    self._leases[url].renew()
                except Lost as error:
                    self._held.remove(url)
                    self._lost(url, str(error))
                except StorageError:
                    continue  # uploads say what is wrong

    def close(self) -> None:
        """Gives them back, at once. A lease that cannot be given back expires."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._give_back()

    def _give_back(self) -> None:
        for url in self._held:
            try:
                self._leases[url].release()
            except StorageError:
                continue
        self._held.clear()
