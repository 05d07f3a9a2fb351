"""What is said on the wire: each message comes out as it went in, and nothing else comes in."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ma_training.coordination import messages
from ma_training.coordination.messages import (
    Done,
    Hello,
    Message,
    MessageError,
    Ping,
    Slice,
    Start,
    Successor,
    Terms,
    pack,
    unpack,
)

TEXT = st.text(max_size=20)
WHOLE = st.integers(-(2**40), 2**40)
RECORD = st.dictionaries(TEXT, TEXT | WHOLE | st.none(), max_size=3)
SUCCESSORS = st.lists(st.builds(Successor, TEXT, TEXT, WHOLE), max_size=3).map(tuple)
SLICES = st.builds(Slice, ledger=st.lists(RECORD, max_size=2).map(tuple), successors=SUCCESSORS)
DONE = st.builds(Done, failures=st.lists(RECORD, max_size=2).map(tuple), abandoned=st.just((1, 2)))
TERMS = st.builds(Terms, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE)
KINDS = [each for each in vars(messages).values() if isinstance(each, type) and issubclass(each, Message)]
KINDS.remove(Message)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "failure": RECORD,
    "failures": st.lists(RECORD, max_size=2).map(tuple),
    "versions": st.dictionaries(TEXT, TEXT, max_size=2),
    "terms": TERMS,
    "slice": SLICES,
    "last": st.none() | SLICES,
    "done": st.none() | DONE,
}


def any_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    known = {field.name: TYPES[field.name] for field in fields(kind) if field.name in TYPES}
    return st.builds(kind, **known)


@given(st.sampled_from(KINDS).flatmap(any_of))
def test_there_and_back(message: Message) -> None:
    assert unpack(json.loads(json.dumps(pack(message)))) == message


HELLO = pack(Hello("n", "host", "10.0.0.1", Terms(1, 2, 0, 1, 3)))
START = pack(Start(Slice(1, 0, 0, 2, "host", 1234, "digest")))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "unknown message 'None'"),
        ({"kind": "Nonsense"}, "unknown message 'Nonsense'"),
        ({"kind": "Message"}, "unknown message"),
        ({"kind": "Vote"}, "Vote is not as it should be"),
        ({"kind": "Vote", "epoch": "1"}, "Vote.epoch is '1'"),
        ({"kind": "Vote", "epoch": True}, "Vote.epoch is 'True'"),
        ({"kind": "Ping", "attempt": 1, "more": 2}, "Ping is not as it should be"),
        ({**HELLO, "terms": 5}, "Hello is not as it should be"),
        ({**HELLO, "terms": {**HELLO["terms"], "nproc": "8"}}, "Terms.nproc is '8'"),
        ({**HELLO, "last": []}, "Hello is not as it should be"),
        ({**HELLO, "done": {"attempt": 1}}, "Hello is not as it should be"),
        ({**START, "slice": None}, "Start is not as it should be"),
        ({**START, "slice": {**START["slice"], "nnodes": 2.5}}, "Slice.nnodes is '2.5'"),
        ({**START, "slice": {**START["slice"], "successors": [{"node": "n"}]}}, "Start is not as it"),
        ({**START, "slice": {**START["slice"], "successors": 7}}, "Start is not as it should be"),
    ],
)
def test_what_no_message_looks_like(record: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError) as caught:
        unpack(record)
    assert said in str(caught.value)


def test_terms_differ_in_words() -> None:
    job = Terms(2, 2, 0, 8, 3)
    assert Terms(2, 2, 0, 8, 5).difference(job) == "--max-restarts 5 where the job has 3"
    assert Terms(2, 2, 0, 4, 3).difference(job) == "--nproc-per-node 4 where the job has 8"
    assert job.difference(job) == ""


def test_a_ping_is_small() -> None:
    assert len(json.dumps(pack(Ping(12)))) < 40
