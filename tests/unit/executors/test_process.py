from cnflow.executors.high_throughput.interchange_process import MOST_RESTARTS, RESTARTS_WITHIN, Restarts


def test_an_interchange_is_started_anew_a_few_times_a_minute():
    restarts = Restarts()
    assert [restarts.may_again(float(n)) for n in range(MOST_RESTARTS + 1)] == [True] * MOST_RESTARTS + [False]
    assert not restarts.may_again(RESTARTS_WITHIN - 1)
    assert restarts.may_again(RESTARTS_WITHIN)
    assert restarts.count == MOST_RESTARTS + 1
