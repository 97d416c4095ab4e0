"""Advice on resources, from what tasks asked for and used."""

import pytest

from cnflow.monitoring.queries.advice import Measured, advise
from cnflow.units import bytes_in

GIB = 2**30
MIB = 2**20


def measured(**values):
    return Measured(**{"tasks": 10, "mean_seconds": 20.0, **values})


CASES = {
    "nothing to say": (measured(asked_cores=2.0, used_cores=1.9, asked_memory=4 * GIB, peak_memory=3 * GIB), ""),
    "nothing known": (measured(), ""),
    "too few tasks": (measured(tasks=2, asked_cores=8.0, used_cores=0.1), ""),
    "memory is close": (
        measured(asked_memory=4 * GIB, peak_memory=int(3.9 * GIB)),
        "The largest task used 3.9 GiB of 4 GiB: ask for memory='4.7 GiB'.",
    ),
    "far too much memory": (
        measured(asked_memory=8 * GIB, peak_memory=800 * MIB),
        "No task used more than 800 MiB of 8 GiB: with memory='960 MiB', 9 times as many fit a node.",
    ),
    "killed for memory": (
        measured(tasks=1, out_of_memory=1, asked_memory=2 * GIB, peak_memory=1 * GIB),
        "1 try was ended because memory ran out: ask for memory='4 GiB'.",
    ),
    "killed, and nothing known": (
        measured(tasks=0, out_of_memory=3),
        "3 tries were ended because memory ran out: ask for a larger memory=.",
    ),
    "idle cores": (measured(asked_cores=8.0, used_cores=1.6), "A task keeps 1.6 of 8 cores busy: cores=2 are enough."),
    "too many threads": (
        measured(asked_cores=1.0, used_cores=3.8),
        "A task keeps 3.8 cores busy and asked for 1: ask for cores=4, or limit OMP_NUM_THREADS.",
    ),
    "threads, and nothing asked": (
        measured(used_cores=3.8),
        "A task keeps 3.8 cores busy: ask for cores=4, or limit OMP_NUM_THREADS.",
    ),
    "one core is the least": (measured(asked_cores=1.0, used_cores=0.01), ""),
    "short tasks": (measured(mean_seconds=0.1, asked_cores=8.0, used_cores=0.5), ""),
    "idle GPU": (measured(gpus=1.0, gpu_percent=4.0), "GPUs are in use 4 % of the time: let several tasks share one."),
    "busy GPU": (measured(gpus=1.0, gpu_percent=64.0), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_advice_follows_from_what_was_measured(case):
    values, text = CASES[case]
    assert advise(values) == text


def test_statements_on_several_resources_follow_each_other():
    text = advise(measured(asked_cores=4.0, used_cores=1.0, gpus=1.0, gpu_percent=0.0))
    assert text.startswith("A task keeps 1.0 of 4 cores busy: cores=1 are enough. GPUs are in use 0 %")


def test_advised_memory_can_be_asked_for_and_holds_the_largest_task():
    for peak in (5 * MIB, 700 * MIB, 3 * GIB, 90 * GIB):
        text = advise(measured(asked_memory=500 * GIB, peak_memory=peak))
        assert bytes_in(text.split("memory='")[1].split("'")[0]) >= peak
