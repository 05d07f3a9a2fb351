"""Handshake and frames, in whatever pieces, and with whatever a stranger does to them."""

import hashlib
import hmac
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.coordination.frames import (
    CHALLENGE,
    MAGIC,
    MAX_FRAME,
    MAX_TEXT,
    PROOF,
    REFUSAL,
    TAG,
    VERSION,
    ClientHandshake,
    FrameError,
    Opener,
    RefusalCode,
    Refused,
    Sealer,
    Secret,
    ServerHandshake,
    Session,
)

KEY = b"k" * 16
SECRET = Secret(KEY, "job")

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=1, max_size=5)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 200), max_size=12)


def damage(data: bytes, place: int, mask: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes((data[place] ^ mask,)) + data[place + 1 :]


def opened(opener: Opener, data: bytes) -> tuple[list[dict[str, Any]], str]:
    """The messages that were let through, and what the opener complained of."""
    try:
        return opener.feed(data), ""
    except FrameError as error:
        return error.messages, str(error)


def fed(handshake: ClientHandshake | ServerHandshake, arriving: list[bytes]) -> bytes:
    return b"".join(handshake.feed(piece) for piece in arriving)


def refused(handshake: ClientHandshake | ServerHandshake, data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        handshake.feed(data)
    assert handshake.session is None
    return caught.value


def shaken(client: Secret = SECRET, server: Secret = SECRET) -> tuple[Session, Session]:
    agent, leader = ClientHandshake(client), ServerHandshake(server)
    assert leader.feed(agent.feed(leader.feed(agent.greeting()))) == b""
    assert agent.session is not None and leader.session is not None
    return agent.session, leader.session


def framed(payload: bytes, key: bytes = KEY, counter: int = 0) -> bytes:
    tag = hmac.digest(key, counter.to_bytes(8, "big") + payload, "sha256")[:TAG]
    return len(payload).to_bytes(4, "big") + payload + tag


# Frames


@given(MESSAGES, CUTS)
def test_messages_arrive_in_whatever_pieces(messages: list[dict[str, Any]], cuts: list[int]) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    data = b"".join(map(sealer.seal, messages))
    arrived = [message for piece in pieces(data, cuts) for message in opener.feed(piece)]
    assert arrived == messages
    assert not opener.midway


@given(MESSAGES, st.integers(0), st.integers(1, 255), CUTS)
def test_no_altered_byte_gets_through(
    messages: list[dict[str, Any]], place: int, mask: int, cuts: list[int]
) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    data = damage(b"".join(map(sealer.seal, messages)), place, mask)
    arrived: list[dict[str, Any]] = []
    complaints = set()
    for piece in pieces(data, cuts):
        whole, complaint = opened(opener, piece)
        arrived += whole
        complaints.add(complaint)
    assert len(arrived) < len(messages)
    assert arrived == messages[: len(arrived)]
    # A length that has become larger only waits for more.
    assert any(complaints) or opener.midway


@given(MESSAGES, st.data())
def test_frames_come_once_and_in_order(messages: list[dict[str, Any]], data: st.DataObject) -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    frames = [sealer.seal(message) for message in messages]
    order = data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=8))
    arrived, complaint = opened(opener, b"".join(frames[number] for number in order))
    right = 0
    while right < len(order) and order[right] == right:
        right += 1
    assert arrived == messages[:right]
    assert complaint == ("" if right == len(order) else "altered, repeated or out of order")


@given(st.binary(max_size=300), CUTS)
def test_garbage_is_never_a_message(data: bytes, cuts: list[int]) -> None:
    opener = Opener(KEY)
    for piece in pieces(data, cuts):
        assert opened(opener, piece)[0] == []


def test_a_replayed_frame_is_found() -> None:
    opener = Opener(KEY)
    frame = Sealer(KEY).seal({"a": 1})
    assert opener.feed(frame) == [{"a": 1}]
    assert opened(opener, frame) == ([], "altered, repeated or out of order")


def test_reordered_frames_are_found() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    one, two = sealer.seal({"a": 1}), sealer.seal({"a": 2})
    assert opened(opener, two + one) == ([], "altered, repeated or out of order")


def test_a_truncated_frame_waits_or_is_found() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    one, two = sealer.seal({"a": 1}), sealer.seal({"a": 2})
    assert opener.feed(one[:-1]) == []
    assert opener.midway
    assert opened(opener, two) == ([], "altered, repeated or out of order")


def test_what_came_before_the_damage_is_told_and_nothing_after() -> None:
    sealer, opener = Sealer(KEY), Opener(KEY)
    one, two, three = (sealer.seal({"a": number}) for number in range(3))
    assert opened(opener, one + damage(two, 6, 1) + three) == (
        [{"a": 0}],
        "altered, repeated or out of order",
    )
    assert opened(opener, two) == ([], "altered, repeated or out of order")


def test_a_frame_is_for_one_direction_and_one_connection() -> None:
    (agent, leader), (other, _) = shaken(), shaken()
    frame = agent.sealer.seal({})
    assert opened(agent.opener, frame)[1]  # sent back to its speaker
    assert opened(shaken()[1].opener, frame)[1]
    assert opened(leader.opener, other.sealer.seal({}))[1]
    assert shaken()[0].sealer.seal({}) != frame


@pytest.mark.parametrize("length", [MAX_FRAME + 1, 0xFFFFFFFF])
def test_a_length_beyond_the_limit_is_not_waited_for(length: int) -> None:
    opener = Opener(KEY)
    complaint = f"{length} bytes announced, {MAX_FRAME} are the most"
    assert opened(opener, length.to_bytes(4, "big")) == ([], complaint)
    assert not opener.midway


def test_the_largest_frame() -> None:
    opener = Opener(KEY)
    message = {"a": "x" * (MAX_FRAME - len('{"a":""}'))}
    frame = Sealer(KEY).seal(message)
    assert [opener.feed(frame[at : at + 4096]) for at in range(0, len(frame), 4096)][-1] == [message]
    sealer = Sealer(KEY)
    with pytest.raises(ValueError, match="262145 bytes; 262144 are the most"):
        sealer.seal({"a": message["a"] + "x"})
    assert Opener(KEY).feed(sealer.seal({})) == [{}]  # what was not sent does not count


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b"[" * MAX_FRAME, "not JSON"),
        (b'{"a":' * 50_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'[{"a":1}]', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
    ],
)
def test_only_json_objects_are_messages(payload: bytes, complaint: str) -> None:
    assert opened(Opener(KEY), framed(payload)) == ([], complaint)


def test_a_frame_is_what_it_is_said_to_be() -> None:
    sealer = Sealer(KEY)
    sealer.seal({})
    assert sealer.seal({"a": [1, "é"]}) == framed('{"a":[1,"é"]}'.encode(), counter=1)


def test_names_that_are_no_utf8_can_be_sent() -> None:
    message = {"path": b"/data/\xff".decode(errors="surrogateescape")}
    assert Opener(KEY).feed(Sealer(KEY).seal(message)) == [message]


# Handshake


@given(CUTS, CUTS, CUTS, MESSAGES)
def test_a_handshake_in_whatever_pieces(
    first: list[int], second: list[int], third: list[int], messages: list[dict[str, Any]]
) -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    challenge = fed(leader, pieces(agent.greeting(), first))
    answer = fed(agent, pieces(challenge, second))
    assert agent.session is not None
    answer += b"".join(map(agent.session.sealer.seal, messages))  # it need not wait
    arrived: list[dict[str, Any]] = []
    for piece in pieces(answer, third):
        if leader.session is None:
            assert leader.feed(piece) == b""
            if leader.session is not None:
                arrived += leader.session.opener.feed(leader.rest)
        else:
            arrived += leader.session.opener.feed(piece)
    assert arrived == messages
    assert leader.session is not None
    assert agent.session.opener.feed(leader.session.sealer.seal({"a": 1})) == [{"a": 1}]


@given(st.integers(0, 2), st.integers(0), st.integers(1, 255))
def test_no_altered_handshake_succeeds(step: int, place: int, mask: int) -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)

    def transmitted(number: int, data: bytes) -> bytes:
        return damage(data, place, mask) if number == step else data

    try:
        leader.feed(transmitted(2, agent.feed(transmitted(1, leader.feed(transmitted(0, agent.greeting()))))))
    except Refused:
        pass  # or waits, as what has become a refusal whose text is not there yet
    assert leader.session is None
    assert (agent.session is None) == (step < 2)


@given(st.binary(max_size=300), st.booleans(), CUTS)
def test_garbage_is_refused_or_waited_for(data: bytes, greeted: bool, cuts: list[int]) -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    if greeted:
        leader.feed(agent.greeting())
    for handshake in (agent, leader):
        try:
            answer = fed(handshake, pieces(data, cuts))
        except Refused:
            answer = b""
        assert answer == b""
        assert handshake.session is None


def test_another_key_is_found_by_the_agent_and_told_to_the_leader() -> None:
    agent, leader = ClientHandshake(Secret(b"x" * 16, "job")), ServerHandshake(SECRET)
    error = refused(agent, leader.feed(agent.greeting()))
    assert (error.code, error.theirs) == (RefusalCode.WRONG_TOKEN, False)
    assert str(error) == "the leader and the agent have different tokens"
    theirs = refused(leader, error.record())
    assert (theirs.code, theirs.text, theirs.theirs) == (RefusalCode.WRONG_TOKEN, error.text, True)


def test_another_key_is_found_by_the_leader_too() -> None:
    other = Secret(b"x" * 16, "job")
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    challenge = leader.feed(agent.greeting())
    # An agent that does not look at the leader's proof.
    nonces = agent.greeting()[len(MAGIC) + 1 :][:16] + challenge[1:17]
    error = refused(leader, PROOF + other.proof(b"agent", nonces))
    assert (error.code, error.theirs) == (RefusalCode.WRONG_TOKEN, False)


def test_another_job() -> None:
    agent, leader = ClientHandshake(Secret(KEY, "other")), ServerHandshake(SECRET)
    error = refused(leader, agent.greeting())
    assert error.code == RefusalCode.OTHER_JOB
    told = refused(agent, error.record())
    assert (told.code, told.text) == (
        RefusalCode.OTHER_JOB,
        "the leader and the agent belong to different jobs",
    )


@pytest.mark.parametrize("length", [len(MAGIC) + 1, 20, 100])
def test_another_version_whose_greeting_may_be_shorter_or_longer(length: int) -> None:
    error = refused(ServerHandshake(SECRET), (MAGIC + bytes((VERSION + 1,))).ljust(length, b"x"))
    assert error.code == RefusalCode.OTHER_VERSION
    assert error.text == "the leader speaks version 1 of the protocol, the agent version 2"


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", MAGIC[:3] + b"x"])
def test_strangers_are_known_by_their_first_bytes(data: bytes) -> None:
    assert refused(ServerHandshake(SECRET), data).text == "what connects is no agent"


def test_an_agent_that_asks_a_stranger() -> None:
    error = refused(ClientHandshake(SECRET), b"HTTP/1.1 400 Bad Request\r\n")
    assert (error.code, error.text) == (RefusalCode.MALFORMED, "what answers is no leader")


def test_only_the_exact_sizes_are_accepted() -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    assert refused(ServerHandshake(SECRET), agent.greeting() + b"x").code == RefusalCode.MALFORMED
    assert refused(agent, leader.feed(agent.greeting()) + b"x").code == RefusalCode.MALFORMED


def test_nothing_can_be_reflected() -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    assert refused(ClientHandshake(SECRET), agent.greeting()).code == RefusalCode.MALFORMED
    challenge = leader.feed(agent.greeting())
    # The leader's own proof, given for the agent's.
    assert refused(leader, PROOF + challenge[17:]).code == RefusalCode.WRONG_TOKEN
    # The agent's own nonce and proof, given for the leader's.
    agent = ClientHandshake(SECRET)
    nonce = agent.greeting()[len(MAGIC) + 1 :][:16]
    proof = SECRET.proof(b"agent", nonce + nonce)
    assert refused(agent, CHALLENGE + nonce + proof).code == RefusalCode.WRONG_TOKEN


def test_a_recorded_conversation_opens_nothing() -> None:
    agent, leader = ClientHandshake(SECRET), ServerHandshake(SECRET)
    challenge = leader.feed(agent.greeting())
    proof = agent.feed(challenge)
    again = ServerHandshake(SECRET)
    assert again.feed(agent.greeting()) != challenge
    assert refused(again, proof).code == RefusalCode.WRONG_TOKEN
    assert refused(ClientHandshake(SECRET), challenge).code == RefusalCode.WRONG_TOKEN


@given(st.sampled_from(RefusalCode), st.text(max_size=300), CUTS)
def test_a_refusal_is_told_and_harmless(code: RefusalCode, text: str, cuts: list[int]) -> None:
    record = Refused(code, text).record()
    assert len(record) <= 3 + MAX_TEXT
    agent = ClientHandshake(SECRET)
    with pytest.raises(Refused) as caught:
        fed(agent, pieces(record, cuts))
    told = caught.value
    assert (told.code, told.theirs) == (code, True)
    assert told.text.isprintable()
    assert text.startswith(told.text) or not text.isprintable()


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (REFUSAL + b"\x63\x04late", "late"),  # a code of a later version
        (REFUSAL + b"\x01\x05\x1b[1m\xff", "?[1m\ufffd"),
        (REFUSAL + b"\x01\xff", "the other side refuses, in too many words"),
    ],
)
def test_odd_refusals(record: bytes, text: str) -> None:
    assert refused(ClientHandshake(SECRET), record).text == text


def test_a_key_is_not_short() -> None:
    with pytest.raises(ValueError, match="15 bytes; 16 are the least"):
        Secret(b"x" * 15, "job")


def test_a_job_is_known_by_its_digest() -> None:
    greeting = ClientHandshake(SECRET).greeting()
    assert len(greeting) == len(MAGIC) + 1 + 16 + 16
    assert greeting.endswith(hashlib.sha256(b"job").digest()[:16])
