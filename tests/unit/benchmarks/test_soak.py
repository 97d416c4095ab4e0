"""The soak of served models decides by itself whether memory is flat."""

from benchmarks.serving.soak import is_flat, rise, verdicts

MB = 1 << 20


def test_memory_that_fills_at_first_and_wavers_is_flat():
    assert is_flat([50 * MB, 80 * MB, 90 * MB, 92 * MB, 89 * MB, 91 * MB, 90 * MB, 93 * MB, 90 * MB, 91 * MB])


def test_one_late_collection_is_no_growth():
    assert is_flat([90 * MB] * 9 + [140 * MB])


def test_small_steady_growth_is_found():
    memory = [90 * MB + part * 2 * MB for part in range(10)]
    assert not is_flat(memory)
    assert rise(memory) == 14 * MB


def test_kind_of_process_that_grows_is_named():
    lines = verdicts([{"front": 50 * MB, "worker": 60 * MB + part * 3 * MB} for part in range(10)])
    assert lines[0].startswith("front: flat")
    assert lines[1].startswith("worker: grows")
