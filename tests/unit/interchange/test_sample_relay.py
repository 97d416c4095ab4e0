"""Samples wait for the driver's line; the oldest are dropped, and counted, where there is no room."""

from cnflow.interchange.sample_relay import LIMIT, SampleRelay
from cnflow.model.samples import NodeUse
from cnflow.wire.manager_messages import Samples


def samples(size, count, *, nodes=0, dropped=0):
    return Samples(b"m" * 6, "0", "h", count, b"x" * size, [NodeUse(1.0)] * nodes, dropped)


def test_messages_pass_in_order():
    relay = SampleRelay()
    assert not relay
    messages = [samples(10, 1), samples(10, 2)]
    for message in messages:
        relay.on_samples(message)
    assert relay
    assert relay.take() == messages
    assert not relay


def test_oldest_is_dropped_and_counted_with_what_it_counted():
    relay = SampleRelay()
    relay.on_samples(samples(LIMIT // 2 - 500, 5, nodes=2, dropped=3))
    relay.on_samples(samples(LIMIT // 2 - 500, 7))
    relay.on_samples(samples(10, 1))
    kept = relay.take()
    assert [(message.count, message.lost) for message in kept] == [(7, 10), (1, 0)]
    relay.on_samples(samples(10, 1))
    assert relay.take()[0].lost == 0


def test_message_beyond_the_limit_passes_alone():
    relay = SampleRelay()
    relay.on_samples(samples(LIMIT + 1, 5))
    assert [message.count for message in relay.take()] == [5]


def test_samples_of_idle_nodes_are_bounded_too():
    relay = SampleRelay()
    for _ in range(LIMIT // 200):
        relay.on_samples(samples(1, 0, nodes=1))
    kept = relay.take()
    assert len(kept) + kept[0].lost == LIMIT // 200
    assert len(kept) <= LIMIT // 400
