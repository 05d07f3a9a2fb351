"""The port of a rendezvous, kept from others until the worker that serves it listens."""

import errno
import socket
import time

RELEASED_WITHIN = 5.0  # seconds, after the last process of an attempt is gone


class PortTakenError(Exception):
    """Someone else listens on the port that the user asked for."""


class HeldPort:
    """Bound but not listening, with SO_REUSEADDR: the kernel gives it to no one who asks for any port,
    and a server that sets SO_REUSEADDR, as torch's store does, can still listen on it."""

    def __init__(self, port: int = 0) -> None:
        """Holds ``port``, or any free one for 0. Raises OSError (EADDRINUSE) where someone listens on it."""
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


def hold_port(wanted: int | None) -> HeldPort:
    """The port asked for, as soon as the last attempt's sockets are off it; or a free one."""
    deadline = time.monotonic() + RELEASED_WITHIN
    while True:
        try:
            return HeldPort(wanted or 0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if time.monotonic() > deadline:
                raise PortTakenError(f"port {wanted} (--master-port) is taken by someone else") from None
            time.sleep(0.05)


def _bound(port: int) -> socket.socket:
    # Both families at once where there are two: torch's store listens on [::].
    if socket.has_ipv6:
        try:
            return _bind(socket.AF_INET6, "::", port)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return _bind(socket.AF_INET, "", port)


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
