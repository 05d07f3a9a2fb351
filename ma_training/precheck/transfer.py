"""A small transfer between two nodes, to measure the network: TCP, in both directions.

The client says a word that only the two know, and a number of bytes; it sends them, and gets as many
back. What is measured is the time until the other side has all of it.
"""

import hmac
import socket
import struct
import threading
import time

WORD = 32  # bytes
BLOCK = 1 << 18
_HEAD = struct.Struct(f"!{WORD}sQ")
_DONE = b"!"


class TransferServer:
    """Answers clients that know the ``word``, in threads, until it is closed."""

    def __init__(self, word: bytes, host: str = "", within: float = 30.0) -> None:
        """``within``: seconds that one transfer may take. Raises OSError."""
        self._word, self._within = word, within
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="transfer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # close alone does not wake accept
        except OSError:
            pass
        self._listener.close()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="transfer-of", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(self._within)
            try:
                word, size = _HEAD.unpack(_receive(connection, _HEAD.size))
                if not hmac.compare_digest(word, self._word):
                    return
                _swallow(connection, size)
                connection.sendall(_DONE)
                _send(connection, size)
            except (OSError, EOFError, struct.error):
                return  # the client sees it, and says so


def measure(address: tuple[str, int], word: bytes, size: int, within: float) -> float | None:
    """MB/s of the slower direction; None where the other side did not take part within so many seconds."""
    try:
        with socket.create_connection(address, within) as connection:
            connection.settimeout(within)
            connection.sendall(_HEAD.pack(word, size))
            began = time.perf_counter()
            _send(connection, size)
            if _receive(connection, 1) != _DONE:
                return None
            there = time.perf_counter()
            _swallow(connection, size)
            back = time.perf_counter()
    except (OSError, EOFError):
        return None
    return size / max(there - began, back - there, 1e-9) / 1e6


def _send(connection: socket.socket, size: int) -> None:
    block = memoryview(bytes(BLOCK))
    while size > 0:
        size -= connection.send(block[: min(size, BLOCK)])


def _swallow(connection: socket.socket, size: int) -> None:
    buffer = bytearray(BLOCK)
    while size > 0:
        got = connection.recv_into(buffer, min(size, BLOCK))
        if not got:
            raise EOFError
        size -= got


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
