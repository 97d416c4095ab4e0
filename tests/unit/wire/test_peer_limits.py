from cnflow.wire.peer_limits import MAX_LOG_LINES, MAX_MALFORMED, MAX_PEERS, WINDOW, MalformedMessageLimit


def test_peer_is_ignored_for_a_window_after_too_many_malformed_messages_and_others_are_not():
    limit = MalformedMessageLimit()
    assert [limit.on_malformed("a", 1.0) for _ in range(MAX_MALFORMED + 2)] == [True] * MAX_MALFORMED + [False] * 2
    assert not limit.on_message("a", 2.0)
    assert limit.on_message("b", 2.0)
    assert limit.on_message("a", 1.0 + WINDOW)
    assert limit.total == MAX_MALFORMED + 3, "a dropped message is counted, too"


def test_peer_is_ignored_after_one_malformed_message_that_it_will_not_send_again():
    limit = MalformedMessageLimit()
    assert limit.on_malformed("a", 1.0, is_lost=True)
    assert not limit.on_message("a", 2.0)


def test_peer_with_a_malformed_message_now_and_then_is_not_ignored():
    limit = MalformedMessageLimit()
    for n in range(MAX_MALFORMED * 3):
        limit.on_malformed("a", n * WINDOW / 2)
        assert not limit.is_ignored("a", n * WINDOW / 2)


def test_peers_with_a_new_id_for_each_message_exhaust_neither_memory_nor_log():
    limit = MalformedMessageLimit()
    logged = [limit.on_malformed(n, 1.0) for n in range(MAX_PEERS * 2)]
    assert logged.count(True) == MAX_LOG_LINES
    assert len(limit._peers) == MAX_PEERS
    assert limit.on_malformed("late", 1.0 + WINDOW), "the next window has log lines of its own"
