"""Keys of blocks that may connect."""

import time

import pytest
import zmq
from zmq.utils import z85

from cnflow.wire.authenticator import Authenticator

MANY = 50_000


def key_of(number):
    return z85.encode(number.to_bytes(32, "big")).decode()


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(0)


@pytest.fixture
def make(context):
    made = []

    def make(keys):
        made.append(Authenticator(context, keys))
        return made[-1]

    yield make
    for authenticator in made:
        authenticator.close()


@pytest.fixture
def ask(context):
    """Function that returns the reply code of an authenticator to a peer with the key of a number."""
    peer = context.socket(zmq.REQ)

    def ask(authenticator, number):
        if not peer.last_endpoint:
            peer.connect("inproc://zeromq.zap.01")
        peer.send_multipart([b"1.0", b"1", b"cnflow", b"10.0.0.1", b"", b"CURVE", number.to_bytes(32, "big")])
        authenticator.handle_request()
        return peer.recv_multipart()[2]

    yield ask
    peer.close(0)


def test_key_is_admitted_as_long_as_one_of_its_blocks_is_not_revoked(make, ask):
    authenticator = make({"0": key_of(7), "1": key_of(7)})
    authenticator.revoke("0")
    assert ask(authenticator, 7) == b"200"
    authenticator.revoke("1")
    authenticator.revoke("1")
    assert ask(authenticator, 7) == b"400"


def test_second_key_of_a_block_replaces_the_first(make, ask):
    authenticator = make({"0": key_of(1)})
    authenticator.admit("0", key_of(2))
    assert [ask(authenticator, number) for number in (1, 2)] == [b"400", b"200"]


def test_decision_does_not_look_at_all_keys(make, ask):
    authenticator = make({str(number): key_of(number) for number in range(MANY)})
    begin = time.process_time()
    assert {ask(authenticator, MANY + number) for number in range(500)} == {b"400"}
    assert time.process_time() - begin < 0.2, "500 peers that are rejected"
