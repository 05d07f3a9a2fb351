"""From a host's name to sockets: where to listen, and whom to connect to."""

import asyncio
import errno
import os
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

PORT_TRIALS = 10

# getaddrinfo's: family, type, protocol, canonical name, address
AddressInfo = tuple[Any, Any, int, str, Any]
Result = TypeVar("Result")


async def resolve(host: str, port: int, flags: int = 0) -> list[AddressInfo]:
    """The addresses to listen on or connect to, each once. Raises OSError (gaierror)."""
    infos: list[AddressInfo]
    try:
        try:  # an address needs no thread
            numeric = flags | socket.AI_NUMERICHOST
            infos = list(socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=numeric))
        except socket.gaierror:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:  # an empty or too long part of a name
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name of a host") from None
    return list(dict.fromkeys(infos))


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """What ``work`` returns. Raises TimeoutError, after cancelling it. (asyncio.wait_for may swallow the
    cancellation of its caller before Python 3.12, and its TimeoutError is another before 3.11.)"""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=max(seconds, 0))
        if task.done():
            return task.result()
        raise TimeoutError("no answer in time")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # or asyncio complains that nobody has looked at it


async def dial(infos: list[AddressInfo], deadline: float) -> socket.socket:
    """Connects to the first address that answers; ``deadline`` is of the event loop's clock. Raises
    OSError: the last address's."""
    loop = asyncio.get_running_loop()
    failure: OSError = TimeoutError("no answer in time")
    for left, (family, kind, protocol, _, address) in zip(range(len(infos), 0, -1), infos, strict=True):
        dialled: socket.socket | None = None
        try:
            dialled = socket.socket(family, kind, protocol)
            dialled.setblocking(False)
            # A dead address must not use up the time of those after it.
            await within((deadline - loop.time()) / left, loop.sock_connect(dialled, address))
            return dialled
        except OSError as error:
            words = f"{error_text(error)} ({address_text(address)})"
            failure = OSError(error.errno, words) if error.errno else TimeoutError(words)
            if dialled is not None:
                dialled.close()
        except BaseException:
            if dialled is not None:
                dialled.close()
            raise
    raise failure


def bind(infos: list[AddressInfo], port: int) -> list[socket.socket]:
    """One socket an address, with one port for all. Raises OSError."""
    for trial in range(PORT_TRIALS):
        try:
            return _bind_once(infos, port)
        except OSError as error:
            # A port that is free on one address may be taken on the next.
            if port or error.errno != errno.EADDRINUSE or trial == PORT_TRIALS - 1:
                raise
    raise AssertionError


def _bind_once(infos: list[AddressInfo], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    try:
        for info in infos:
            try:
                bound.append(_bound(info, port))
            except OSError as error:
                # A machine without IPv6 may still have names for it.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                missing = error
            else:
                port = bound[-1].getsockname()[1]
        if not bound:
            raise missing
    except OSError:
        for each in bound:
            each.close()
        raise
    return bound


def _bound(info: AddressInfo, port: int) -> socket.socket:
    family, kind, protocol, _, address = info
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address[0], port, *address[2:]))
    except OSError:
        bound.close()
        raise
    return bound


def address_text(address: Any) -> str:
    """host:port, with IPv6 in brackets."""
    if not address:  # gone before it could be asked
        return "unknown"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def error_text(error: BaseException) -> str:
    """An error as people say it: "connection reset by peer"."""
    if isinstance(error, BrokenPipeError):  # only the speaker's view of a connection that was reset
        return os.strerror(errno.ECONNRESET).lower()
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
