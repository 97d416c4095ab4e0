import pytest

from cnflow.cli.perf_batches import Batch, format_batch, next_size, parse_mode, refuse_resources


def sizes(mode, target, rate, start_up=0.0, at_most=20):
    """Sizes of batches on a system with *rate* tasks per second, and *start_up* seconds more in the first batch."""
    done = []
    while (size := next_size(mode, target, done)) is not None and len(done) < at_most:
        done.append(Batch(size, 0.0, size / rate + (0 if done else start_up)))
    return [batch.tasks for batch in done]


def test_estimate_reaches_its_target_in_few_batches():
    assert sizes("estimate", 10, rate=1000) == [10, 10_000]
    assert sizes("estimate", 10, rate=1000, start_up=2) == [10, 49, 10_000]


def test_estimate_below_one_task_is_one_task():
    assert sizes("estimate", 1, rate=0.1) == [10, 1]


def test_first_batch_is_never_the_last():
    assert sizes("estimate", 0.001, rate=1) == [10, 1]
    assert sizes("exponential", 0.001, rate=1) == [10, 20]


def test_exponential_doubles_until_the_target_time():
    assert sizes("exponential", 10, rate=10) == [10, 20, 40, 80, 160]


def test_listed_sizes_are_used_in_order():
    assert sizes([3, 1, 2], 0.0, rate=1) == [3, 1, 2]


def test_mode_is_a_name_or_a_list_of_sizes():
    assert [parse_mode(text) for text in ("estimate", "exponential", "5", "1, 20")] == [
        "estimate",
        "exponential",
        [5],
        [1, 20],
    ]


@pytest.mark.parametrize("text", ["", "guess", "10,x", "10,", "0", "-5", "1.5"])
def test_text_that_is_no_mode_is_refused(text):
    with pytest.raises(ValueError, match="neither estimate nor exponential"):
        parse_mode(text)


def test_only_empty_resources_are_accepted():
    refuse_resources("{}")
    with pytest.raises(ValueError, match="set cores_per_worker"):
        refuse_resources("{'cores': 1}")
    with pytest.raises(ValueError, match="is no dictionary"):
        refuse_resources("__import__('os').abort()")


def test_batch_is_formatted_as_parsl_perf_does():
    assert format_batch(Batch(100, 0.5, 2.0), 3.0) == [
        "Submission took 0.500 seconds = 200.000 tasks/second",
        "Runtime: actual 2.000s vs target 3s",
        "Tasks per second: 50.000",
    ]
