from cnflow.manager.prefetch import Prefetch


def test_one_long_task_among_short_ones_stops_the_prefetch():
    prefetch = Prefetch(None)
    for _ in range(50):
        prefetch.record(0.0001)
    assert prefetch.tasks_ahead(1) > 0
    prefetch.record(1.0)
    assert (prefetch.tasks_ahead(1), prefetch.pipe_depth()) == (0, 1)


def test_a_fixed_prefetch_does_not_depend_on_the_length_of_tasks():
    prefetch = Prefetch(7)
    prefetch.record(10.0)
    assert prefetch.tasks_ahead(4) == 7
