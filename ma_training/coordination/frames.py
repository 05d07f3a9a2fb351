"""What an agent and its leader say on a connection, as bytes. First who they are, then messages:

    agent     MAGIC, version, nonce, job digest
    leader    CHALLENGE, nonce, proof
    agent     PROOF, proof
    both      frames: length, JSON object, tag

Whoever finds fault with the other says REFUSAL, code, length, text, and closes. A proof is an HMAC under
the shared key over the speaker's role, both nonces and the job: it cannot be replayed, nor sent back to
its speaker. A tag is one over the frame's number and content, under a key that is made anew for each
connection and direction: what is altered, repeated, left out or moved is found. Nothing is encrypted.

The beginning of the greeting and the refusal stay as they are in later versions.
"""

import hashlib
import hmac
import json
import os
import struct
from enum import IntEnum
from typing import Any, NamedTuple

MAGIC = b"\xa7matrain"  # no text begins like this
VERSION = 1
NONCE = 16  # bytes
DIGEST = 16  # bytes, of the job's name
PROOF_SIZE = 32  # bytes
TAG = 16  # bytes
MAX_FRAME = 256 * 1024  # bytes of JSON
MAX_TEXT = 200  # bytes of a refusal's text, UTF-8
SHORTEST_KEY = 16  # bytes

CHALLENGE, PROOF, REFUSAL = b"\x02", b"\x03", b"\x15"

_LABEL = b"ma-training %d " % VERSION
_GREETING_SIZE = len(MAGIC) + 1 + NONCE + DIGEST
_CHALLENGE_SIZE = 1 + NONCE + PROOF_SIZE
_LENGTH = struct.Struct(">I")
_COUNTER = struct.Struct(">Q")
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_decode = json.JSONDecoder().decode


class RefusalCode(IntEnum):
    WRONG_TOKEN = 1
    OTHER_JOB = 2
    OTHER_VERSION = 3
    MALFORMED = 4


class Refused(Exception):
    """The handshake has failed. ``text`` is for people, of either side. ``theirs``: the other side has
    said so, which proves nothing, as it may be anyone."""

    def __init__(self, code: RefusalCode, text: str, theirs: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.theirs = theirs

    def record(self) -> bytes:
        """What the other side is told."""
        text = self.text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore").encode()
        return REFUSAL + bytes((self.code, len(text))) + text


class FrameError(Exception):
    """What came is not what the other side sent, or nothing that it may send: the connection is of no
    further use. ``messages`` came whole before that."""

    def __init__(self, text: str, messages: list[dict[str, Any]]) -> None:
        super().__init__(text)
        self.messages = messages


class Secret:
    """The key that the agents of a job and their leader share; of high entropy, as whoever connects to
    the leader gets an HMAC under it to try guesses on."""

    __slots__ = ("_key", "job_digest")

    def __init__(self, key: bytes, job: str) -> None:
        """Raises ValueError for a key of less than 16 bytes."""
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"the key has {len(key)} bytes; {SHORTEST_KEY} are the least")
        self._key = key
        self.job_digest = hashlib.sha256(job.encode("utf-8", "surrogatepass")).digest()[:DIGEST]

    def proof(self, role: bytes, nonces: bytes) -> bytes:
        """That ``role`` knows the key; ``nonces`` are the agent's and the leader's, in this order."""
        return hmac.digest(self._key, _LABEL + b"proof of " + role + nonces + self.job_digest, "sha256")

    def session_keys(self, nonces: bytes) -> tuple[bytes, bytes]:
        """One for what the agent sends, and one for what the leader sends."""
        both = hmac.digest(self._key, _LABEL + b"session keys" + nonces + self.job_digest, "sha512")
        return both[:32], both[32:]


def encode(message: dict[str, Any]) -> bytes:
    """A message's payload, which may go to many.

    Raises ValueError for one beyond MAX_FRAME, TypeError for what JSON has no word for."""
    # A lone surrogate, as in a path that is no UTF-8, becomes the escape that JSON has for it.
    payload = _encode(message).encode("utf-8", "backslashreplace")
    if len(payload) > MAX_FRAME:
        raise ValueError(f"a message of {len(payload)} bytes; {MAX_FRAME} are the most")
    return payload


class Sealer:
    """Makes frames of one direction's messages."""

    __slots__ = ("_counter", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    def seal(self, message: dict[str, Any]) -> bytes:
        """Raises as `encode`."""
        return self.seal_payload(encode(message))

    def seal_payload(self, payload: bytes) -> bytes:
        """``payload``: what `encode` made of a message."""
        tag = hmac.digest(self._key, _COUNTER.pack(self._counter) + payload, "sha256")[:TAG]
        self._counter += 1
        return _LENGTH.pack(len(payload)) + payload + tag


class Opener:
    """Makes messages of the other direction's frames. Holds one unfinished frame at the most."""

    __slots__ = ("_counter", "_damage", "_held", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0
        self._held: bytearray | None = None  # None: an idle connection costs nothing
        self._damage = ""

    @property
    def midway(self) -> bool:
        """A frame has begun and not ended."""
        return self._held is not None

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Takes what came, in whatever pieces; returns the messages that are now whole.

        Raises FrameError for the first frame that is damaged, and ever after.
        """
        if self._damage:
            raise FrameError(self._damage, [])
        whole: bytes | bytearray = data
        if self._held is not None:
            self._held += data
            whole = self._held
        messages: list[dict[str, Any]] = []
        at, size = 0, len(whole)
        try:
            while size - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(whole, at)
                if length > MAX_FRAME:
                    raise _DamageError(f"{length} bytes announced, {MAX_FRAME} are the most")
                start = at + _LENGTH.size
                end = start + length
                if size < end + TAG:
                    break
                messages.append(self._open(bytes(whole[start:end]), whole[end : end + TAG]))
                at = end + TAG
        except _DamageError as error:
            self._damage = str(error)
            self._held = None
            raise FrameError(self._damage, messages) from None
        if at == size:
            self._held = None
        elif at or self._held is None:
            self._held = bytearray(whole[at:])
        return messages

    def _open(self, payload: bytes, tag: bytes | bytearray) -> dict[str, Any]:
        expected = hmac.digest(self._key, _COUNTER.pack(self._counter) + payload, "sha256")[:TAG]
        if not hmac.compare_digest(tag, expected):
            raise _DamageError("altered, repeated or out of order")
        self._counter += 1
        try:
            message = _decode(payload.decode())
        except (ValueError, RecursionError):
            raise _DamageError("not JSON") from None
        if not isinstance(message, dict):
            raise _DamageError("not a JSON object")
        return message


class _DamageError(Exception):
    """Why a frame cannot be opened."""


class Session(NamedTuple):
    """What a handshake leaves."""

    sealer: Sealer
    opener: Opener


class ClientHandshake:
    """The agent's side. ``session`` is there when `feed` has made it; then ``rest`` is for its opener."""

    __slots__ = ("_inbox", "_nonce", "_secret", "rest", "session")

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._nonce = os.urandom(NONCE)
        self._inbox = b""
        self.rest = b""
        self.session: Session | None = None

    def greeting(self) -> bytes:
        """What is to be sent first."""
        return MAGIC + bytes((VERSION,)) + self._nonce + self._secret.job_digest

    def feed(self, data: bytes) -> bytes:
        """Takes what came, in whatever pieces; returns what is to be sent. Raises Refused."""
        self._inbox += data
        inbox = self._inbox
        if inbox[:1] == REFUSAL:
            _read_refusal(inbox)
            return b""
        if inbox[:1] not in (CHALLENGE, b""):
            raise Refused(RefusalCode.MALFORMED, "what answers is no leader")
        if len(inbox) > _CHALLENGE_SIZE:
            raise Refused(RefusalCode.MALFORMED, "the leader says more than its challenge")
        if len(inbox) < _CHALLENGE_SIZE:
            return b""
        nonces = self._nonce + inbox[1 : 1 + NONCE]
        # Before anything is said that is made with the key: whoever listens here may be anyone.
        _check_proof(inbox[1 + NONCE :], self._secret.proof(b"leader", nonces))
        to_leader, to_agent = self._secret.session_keys(nonces)
        self.session = Session(Sealer(to_leader), Opener(to_agent))
        return PROOF + self._secret.proof(b"agent", nonces)


class ServerHandshake:
    """The leader's side. ``session`` is there when `feed` has made it; then ``rest`` is for its opener."""

    __slots__ = ("_inbox", "_nonces", "_secret", "rest", "session")

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._nonces = b""  # the agent's and ours, once the agent has sent its own
        self._inbox = b""
        self.rest = b""
        self.session: Session | None = None

    def greeting(self) -> bytes:
        """What is to be sent first: nothing."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Takes what came, in whatever pieces; returns what is to be sent. Raises Refused."""
        self._inbox += data
        return self._check() if self._nonces else self._challenge()

    def _challenge(self) -> bytes:
        inbox = self._inbox
        # As soon as it can be told: what speaks another language may wait for an answer.
        if inbox[: len(MAGIC)] != MAGIC[: len(inbox)]:
            raise Refused(RefusalCode.MALFORMED, "what connects is no agent")
        version = inbox[len(MAGIC) : len(MAGIC) + 1]
        if version and version[0] != VERSION:
            text = f"the leader speaks version {VERSION} of the protocol, the agent version {version[0]}"
            raise Refused(RefusalCode.OTHER_VERSION, text)
        if len(inbox) > _GREETING_SIZE:
            raise Refused(RefusalCode.MALFORMED, "the agent says more than its greeting")
        if len(inbox) < _GREETING_SIZE:
            return b""
        if not hmac.compare_digest(inbox[-DIGEST:], self._secret.job_digest):
            raise Refused(RefusalCode.OTHER_JOB, "the leader and the agent belong to different jobs")
        nonce = os.urandom(NONCE)
        self._nonces = inbox[len(MAGIC) + 1 : -DIGEST] + nonce
        self._inbox = b""
        return CHALLENGE + nonce + self._secret.proof(b"leader", self._nonces)

    def _check(self) -> bytes:
        inbox = self._inbox
        if inbox[:1] == REFUSAL:
            _read_refusal(inbox)
            return b""
        if inbox[:1] not in (PROOF, b""):
            raise Refused(RefusalCode.MALFORMED, "the agent's answer is no proof")
        if len(inbox) <= PROOF_SIZE:
            return b""
        _check_proof(inbox[1 : 1 + PROOF_SIZE], self._secret.proof(b"agent", self._nonces))
        to_leader, to_agent = self._secret.session_keys(self._nonces)
        self.session = Session(Sealer(to_agent), Opener(to_leader))
        self.rest = inbox[1 + PROOF_SIZE :]
        return b""


def _check_proof(given: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(given, expected):
        raise Refused(RefusalCode.WRONG_TOKEN, "the leader and the agent have different tokens")


def _read_refusal(inbox: bytes) -> None:
    """Raises the Refused that is in the record, once that is whole."""
    if len(inbox) < 3:
        return
    size = inbox[2]
    if size > MAX_TEXT:
        raise Refused(RefusalCode.MALFORMED, "the other side refuses, in too many words")
    if len(inbox) < 3 + size:
        return
    try:
        code = RefusalCode(inbox[1])
    except ValueError:  # of a later version
        code = RefusalCode.MALFORMED
    text = inbox[3 : 3 + size].decode("utf-8", "replace")
    # Nobody has proven anything yet, and terminals obey control characters.
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    raise Refused(code, text, theirs=True)
