import pytest

from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider
from cnflow.executors.high_throughput.block_requests import (
    BlockContext,
    ManagerEndpoint,
    accelerators,
    block_log_folder,
    blocks_to_see,
    expected_slots,
    short_life,
)
from cnflow.ids import BlockId, RunId


@pytest.mark.parametrize(
    ("given", "names"), [(0, ()), ([], ()), (3, ("0", "1", "2")), (["0,1", "2"], ("0,1", "2")), ([0, 1], ("0", "1"))]
)
def test_number_of_accelerators_counts_from_zero(given, names):
    assert accelerators(HighThroughputExecutor(available_accelerators=given)) == names


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"max_workers": 8}, 8),
        ({"available_accelerators": 2}, 2),
        ({"available_accelerators": 2, "max_workers": 8}, 2),
        ({"available_accelerators": ["0", "0", "1"], "max_workers": 2}, 2),
    ],
)
def test_node_has_no_more_workers_than_accelerators(settings, expected, tmp_path):
    executor = HighThroughputExecutor(provider=LocalProvider(), cores_per_worker=0.01, **settings)
    context = BlockContext(executor, RunId("r"), tmp_path, ManagerEndpoint([], "ipc:///x", None))
    manager = context.request(BlockId("0")).manager
    assert manager.max_workers == expected
    assert expected is None or expected_slots(executor) == expected


def test_blocks_shorter_than_four_grace_periods_are_warned_of():
    words = short_life(HighThroughputExecutor(provider=LocalProvider(walltime=20), grace_period=8))
    assert "only 5 s, a quarter of it, to end, instead of grace_period=8 s" in words
    assert short_life(HighThroughputExecutor(provider=LocalProvider(walltime=32), grace_period=8)) == ""
    assert short_life(HighThroughputExecutor()) == ""


@pytest.mark.parametrize(
    ("provider", "blocks"),
    [
        (LocalProvider(max_blocks=9), 1),
        (DockerProvider(cpus=2, max_blocks=9), 1),
        (DockerProvider(max_blocks=9), 3),
        (DockerProvider(max_blocks=2), 2),
    ],
)
def test_unknown_nodes_are_seen_in_up_to_three_blocks_before_a_task_fits_none(provider, blocks):
    assert blocks_to_see(HighThroughputExecutor(provider=provider)) == blocks


def test_logs_of_blocks_have_a_folder_of_the_run_where_the_user_wants_them(tmp_path):
    beside = tmp_path / "runinfo" / "003" / "big"
    assert block_log_folder(HighThroughputExecutor(), beside) == beside
    elsewhere = block_log_folder(HighThroughputExecutor(block_log_dir=tmp_path / "logs"), beside)
    assert elsewhere == tmp_path / "logs" / "003" / "big"
    assert elsewhere.is_dir()
