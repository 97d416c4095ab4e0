from cnflow.wire.peer_limits import LOGGED, PATIENCE, REMEMBERED, WINDOW, MalformedMessageLimit


def test_who_offends_time_and_again_is_ignored_for_a_while_and_nobody_else():
    manners = MalformedMessageLimit()
    assert [manners.offended("a", 1.0) for _ in range(PATIENCE + 2)] == [True] * PATIENCE + [False] * 2
    assert manners.ignores("a", 2.0)
    assert not manners.ignores("b", 2.0)
    assert not manners.ignores("a", 1.0 + WINDOW)
    assert manners.offences == PATIENCE + 3, "what is not read is counted, too"


def test_a_slip_now_and_then_is_borne():
    manners = MalformedMessageLimit()
    for n in range(PATIENCE * 3):
        manners.offended("a", n * WINDOW / 2)
        assert manners.bears("a", n * WINDOW / 2)


def test_who_makes_up_names_fills_neither_memory_nor_log():
    manners = MalformedMessageLimit()
    said = [manners.offended(n, 1.0) for n in range(REMEMBERED * 2)]
    assert said.count(True) == LOGGED
    assert len(manners._peers) == REMEMBERED
    assert manners.offended("late", 1.0 + WINDOW), "the next minute has lines of its own"
