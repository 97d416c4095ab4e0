from cnflow.executors.high_throughput.interchange_process import MOST_RESTARTS, RESTART_WINDOW, RestartLimit


def test_interchange_may_be_restarted_a_few_times_a_minute():
    limit = RestartLimit()
    assert [limit.allow(float(n)) for n in range(MOST_RESTARTS + 1)] == [True] * MOST_RESTARTS + [False]
    assert not limit.allow(RESTART_WINDOW - 1)
    assert limit.allow(RESTART_WINDOW)
    assert limit.count == MOST_RESTARTS + 1
