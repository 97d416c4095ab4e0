import pytest

from cnflow.cli.perf_batches import Batch, lines_of, mode_of, next_size, refuse_resources


def sizes(mode, target, rate, start_up=0.0, at_most=20):
    """Of the batches on a system that does *rate* tasks per second, after *start_up* seconds in the first."""
    done = []
    while (size := next_size(mode, target, done)) is not None and len(done) < at_most:
        done.append(Batch(size, 0.0, size / rate + (0 if done else start_up)))
    return [batch.tasks for batch in done]


def test_an_estimate_reaches_its_target_in_few_batches():
    assert sizes("estimate", 10, rate=1000) == [10, 10_000]
    assert sizes("estimate", 10, rate=1000, start_up=2) == [10, 49, 10_000]


def test_an_estimate_of_less_than_a_task_is_one_task():
    assert sizes("estimate", 1, rate=0.1) == [10, 1]


def test_the_first_batch_is_never_the_last():
    assert sizes("estimate", 0.001, rate=1) == [10, 1]
    assert sizes("exponential", 0.001, rate=1) == [10, 20]


def test_exponential_doubles_until_the_target_is_passed():
    assert sizes("exponential", 10, rate=10) == [10, 20, 40, 80, 160]


def test_sizes_that_are_given_are_run_as_they_are():
    assert sizes([3, 1, 2], 0.0, rate=1) == [3, 1, 2]


def test_a_mode_is_a_name_or_numbers():
    assert [mode_of(text) for text in ("estimate", "exponential", "5", "1, 20")] == [
        "estimate",
        "exponential",
        [5],
        [1, 20],
    ]


@pytest.mark.parametrize("text", ["", "guess", "10,x", "10,", "0", "-5", "1.5"])
def test_what_is_no_mode_is_refused(text):
    with pytest.raises(ValueError, match="neither estimate nor exponential"):
        mode_of(text)


def test_no_resources_is_all_that_a_task_can_ask_for():
    refuse_resources("{}")
    with pytest.raises(ValueError, match="set cores_per_worker"):
        refuse_resources("{'cores': 1}")
    with pytest.raises(ValueError, match="is no dictionary"):
        refuse_resources("__import__('os').abort()")


def test_a_batch_is_told_in_the_references_words():
    assert lines_of(Batch(100, 0.5, 2.0), 3.0) == [
        "Submission took 0.500 seconds = 200.000 tasks/second",
        "Runtime: actual 2.000s vs target 3s",
        "Tasks per second: 50.000",
    ]
