"""Managers learn once where to ask others directly."""

import pytest

from cnflow.interchange.peer_relay import PeerRelay
from cnflow.wire.bulk import Want
from cnflow.wire.peer_messages import Serving

HAS, NEEDS, ALSO = b"has it", b"needs!", b"also!!"
SERVING = Serving(HAS, ["10.0.0.1"], 4000, "k" * 40)
WANT = Want(b"k" * 24, HAS, 0, 5)


@pytest.fixture
def relay():
    sent = []
    made = PeerRelay(lambda manager, message, data: sent.append((manager, message)), lambda manager: False)
    made.sent = sent
    return made


def test_each_manager_that_wants_an_item_learns_once_where_to_ask_directly(relay):
    relay.on_want(NEEDS, HAS, WANT)
    relay.on_serving(HAS, SERVING)
    relay.on_want(NEEDS, HAS, Want(WANT.blob, HAS, 5, 5))
    relay.on_want(NEEDS, HAS, Want(WANT.blob, HAS, 10, 5))
    relay.on_want(ALSO, HAS, WANT)
    assert [manager for manager, message in relay.sent if message == SERVING] == [NEEDS, ALSO]


def test_manager_that_waits_for_a_piece_already_learns_where_to_ask_for_the_next(relay):
    for offset in (0, 5):
        relay.on_want(NEEDS, HAS, Want(WANT.blob, HAS, offset, 5))
    relay.on_want(ALSO, HAS, WANT)
    relay.on_serving(HAS, SERVING)
    assert [manager for manager, message in relay.sent if message == SERVING] == [ALSO, NEEDS]


def test_manager_that_serves_anew_is_introduced_anew_and_one_that_is_gone_no_more(relay):
    relay.on_serving(HAS, SERVING)
    relay.on_want(NEEDS, HAS, WANT)
    again = Serving(HAS, ["10.0.0.1"], 4001, "k" * 40)
    relay.on_serving(HAS, again)
    relay.on_want(NEEDS, HAS, Want(WANT.blob, HAS, 5, 5))
    assert [message for manager, message in relay.sent if isinstance(message, Serving)] == [SERVING, again]
    relay.on_manager_gone(HAS)
    relay.on_want(ALSO, HAS, WANT)
    assert sum(isinstance(message, Serving) for _, message in relay.sent) == 2
    relay.on_manager_gone(ALSO)


def test_manager_cannot_serve_in_the_name_of_another(relay):
    with pytest.raises(ValueError, match="in the name"):
        relay.on_serving(NEEDS, SERVING)
