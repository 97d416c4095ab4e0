"""Figures of blocks, nodes, and of two runs that are compared."""

import msgspec
import pytest

from cnflow.monitoring.dashboard.pages import blocks, compare, efficiency, nodes
from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.lifetimes import lived

RUN = views.RunView(
    id="a", name="fit", version="", state="ended", began=100.0, ended=200.0, host="h", user="u", run_dir="/r",
    script="s.py", tasks=50, done=40, failed=10, cancelled=0,
)  # fmt: skip
BLOCK = views.BlockView(
    executor="htex", block="0", native="1", provider="slurm", state="running", reason="", first=0.0, last=10.0,
    statuses=[], usd=None, tasks=5, busy_seconds=4.0, worker_seconds=8.0,
)  # fmt: skip
NODE = views.NodeView(
    manager="m", executor="htex", block="0", host="n1", workers=4, cores=4, memory_bytes=8, gpus="", image="i",
    python="3.11.2", is_up=True, began=100.0, ended=None, reason="", tasks=5, busy_seconds=4.0,
)  # fmt: skip


def figures(**changes):
    made = compare.figures_of(RUN, msgspec.structs.replace(RUN, **changes), now=0.0)
    return {each.name: each for each in made}


def test_a_run_that_took_less_is_better():
    took = figures(ended=150.0)["Took"]
    assert (took.first, took.second, took.is_better, took.change) == (100.0, 50.0, True, "-50 %")


def test_runs_that_are_alike_are_neither_better_nor_worse():
    assert figures(ended=200.9)["Took"].is_better is None


def test_more_failures_are_worse():
    assert figures(failed=12)["Failed"].is_better is False


def test_failures_after_none_have_no_percentage():
    made = compare.figures_of(msgspec.structs.replace(RUN, failed=0), RUN, now=0.0)
    assert [each.change for each in made if each.name == "Failed"] == ["new"]


def test_a_run_that_began_and_ended_at_once_has_no_rate():
    rate = figures(ended=100.0)["Done per second"]
    assert (rate.second, rate.is_better, rate.change) == (None, None, "")


def test_a_block_that_has_ended_is_not_counted_as_live():
    made = blocks.figures([BLOCK, msgspec.structs.replace(BLOCK, state="ended", usd=1.5)])
    assert (made["blocks"], made["live"], made["usd"]) == (2, 1, 1.5)


def test_the_cost_of_blocks_without_prices_is_not_known():
    assert blocks.figures([BLOCK])["usd"] is None


def test_nodes_that_are_gone_have_no_workers():
    made = nodes.figures([NODE, msgspec.structs.replace(NODE, is_up=False)])
    assert (made["nodes"], made["up"], made["workers"]) == (2, 1, 4)


def test_time_of_workers_ends_with_their_node():
    assert nodes.lived(NODE, 150.0) == 200.0
    assert nodes.lived(msgspec.structs.replace(NODE, ended=110.0), 150.0) == 40.0
    assert nodes.lived(NODE, 50.0) == 0.0  # a clock that was set back


@pytest.mark.parametrize(
    ("used", "asked", "kind"), [(1.0, 4.0, "low"), (3.0, 4.0, ""), (5.0, 4.0, "high"), (None, 4.0, ""), (1.0, None, "")]
)
def test_use_of_resources_is_low_or_high(used, asked, kind):
    assert efficiency.kind_of(used, asked) == kind


def test_a_block_that_goes_on_has_lived_until_now():
    assert lived(BLOCK, 3600.0) == 3600.0
    assert lived(msgspec.structs.replace(BLOCK, state="ended"), 3600.0) == 10.0
    assert lived(BLOCK, 5.0) == 10.0
