"""Messages between the bench and a guest: what is written is read, and what is no message is refused."""

import os
import struct
import threading

import numpy as np
import pytest
from simbench_estimators.implicitrm import ImplicitRM

from simbench.study.guests.manifest import Manifest
from simbench.study.guests.wire import Channel, OverError, decoded, encoded


@pytest.fixture
def pipe():
    """A channel that reads what it wrote, and the descriptor that it writes to."""
    reader, writer = os.pipe()
    yield Channel(reader, writer), writer
    for one in (reader, writer):
        os.close(one)


def test_a_message_arrives_with_its_arrays(pipe):
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3).T, "flags": np.array([True, False])}
    pipe[0].send({"op": "fit", "number": 0.1}, arrays)
    message, found = pipe[0].receive()
    assert message == {"op": "fit", "number": 0.1}
    assert found.keys() == arrays.keys()
    for name in arrays:
        assert np.array_equal(found[name], arrays[name]) and found[name].dtype == arrays[name].dtype


@pytest.mark.parametrize(
    "value", [None, True, 1, 0.1, "a", (1, (2, [3])), [(1,)], {"a": (1,), "b": {}}, frozenset("ab")]
)
def test_a_parameter_stays_what_it_is(value):
    found = decoded(encoded(value))
    assert found == value and type(found) is type(value)


def test_numpys_numbers_are_handed_over_as_pythons():
    assert encoded((np.float64(0.5), np.int64(2))) == {"tuple": [0.5, 2]}


@pytest.mark.parametrize("value", [object(), {1: 2}, np.arange(2), (np.mean,)])
def test_what_is_no_number_or_text_is_no_parameter(value):
    with pytest.raises(TypeError, match="no number or text"):
        encoded(value)


def test_objects_are_not_sent(pipe):
    with pytest.raises(TypeError, match="x has dtype object, which is no number"):
        pipe[0].send({}, {"x": np.array([None])})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (struct.pack("<QQ", 1 << 40, 0), "too long"),
        (struct.pack("<QQ", 2, 100) + b"{}", "a message of 102 bytes is too long"),
        (struct.pack("<QQ", 2, 0) + b"[]", "no JSON object"),
        (struct.pack("<QQ", 2, 0) + b"{]", "Expecting property name"),
        (struct.pack("<QQ", 2, 3) + b"{}abc", "arrays are damaged"),
    ],
)
def test_what_is_no_message_is_refused(pipe, frame, message):
    channel, writer = pipe
    os.write(writer, frame)
    with pytest.raises(ValueError, match=message):
        channel.receive(most=50)
    assert not channel.clean


def test_the_end_of_a_session_is_noticed_before_and_amid_a_message():
    (reader, other), (over, tell) = os.pipe(), os.pipe()
    unread, writer = os.pipe()
    channel = Channel(reader, writer, over)
    channel.send({"op": "fit"})
    os.write(tell, b"x")
    with pytest.raises(OverError):
        channel.receive()
    assert channel.clean  # nothing of a message was read
    with pytest.raises(OverError):
        channel.send({"op": "fit"})
    os.write(other, struct.pack("<QQ", 50, 0))
    with pytest.raises(OverError):
        channel.receive()
    assert not channel.clean
    for one in (reader, other, over, tell, unread, writer):
        os.close(one)


def test_a_large_message_to_nobody_does_not_wait_for_ever():
    (reader, other), (over, tell) = os.pipe(), os.pipe()
    unread, writer = os.pipe()
    channel = Channel(reader, writer, over)
    threading.Timer(0.2, os.write, (tell, b"x")).start()
    with pytest.raises(OverError):
        channel.send({}, {"x": np.zeros(1 << 20)})
    assert not channel.clean
    for one in (reader, other, over, tell, unread, writer):
        os.close(one)


def test_a_manifest_is_read_as_it_was_stated():
    stated = Manifest.of(ImplicitRM)
    assert Manifest.read(stated.message()) == stated
    own = stated.message()
    needs = [{**own["stated"], "needs": wrong} for wrong in (5, "propensity", {"set": [1]})]
    name = {**own["stated"], "name": 1}
    changes = [{"networks": 1}, {"stated": {}}, *({"stated": one} for one in (*needs, name))]
    for wrong in ({}, *({**own, **change} for change in changes)):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Manifest.read(wrong)
