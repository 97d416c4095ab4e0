"""Tests of Parsl's providers of batch schedulers: configurations as Parsl's documentation has them."""

import pytest

from cnflow.compat.parsl.batch_providers import CobaltProvider, CondorProvider, LSFProvider
from cnflow.compat.parsl.channels import LocalChannel
from cnflow.compat.parsl.launchers import AprunLauncher, JsrunLauncher, SingleNodeLauncher
from cnflow.config.registry import PROVIDERS


def test_condor_of_the_open_science_grid():
    provider = CondorProvider(
        nodes_per_block=1,
        init_blocks=4,
        max_blocks=4,
        scheduler_options='Requirements = OSGVO_OS_STRING == "RHEL 6" && Arch == "X86_64" && HAS_MODULES == True',
        worker_init="",
        walltime="00:20:00",
        channel=LocalChannel(),
        launcher=SingleNodeLauncher(),
        cores_per_slot=2,
        mem_per_slot=1.5,
        project="",
        transfer_input_files=["a"],
        cmd_chunk_size=100,
    )
    assert (provider.init_blocks, provider.max_blocks, provider.walltime) == (4, 4, 1200.0)
    assert (provider.cores_per_slot, provider.mem_per_slot) == (2, 3 << 29)
    assert provider.channel.kind == "local"
    assert provider.label == "condor"


def test_lsf_of_summit():
    provider = LSFProvider(
        launcher=JsrunLauncher(),
        walltime="00:10:00",
        nodes_per_block=2,
        init_blocks=1,
        max_blocks=1,
        worker_init="",
        project="YOUR_PROJECT_ALLOCATION",
        cmd_timeout=60,
    )
    assert (provider.project, provider.request_by_nodes, provider.launcher.kind) == (
        "YOUR_PROJECT_ALLOCATION",
        True,
        "jsrun",
    )


@pytest.mark.parametrize(
    ("given", "nodes", "cores"),
    [
        ({"cores_per_block": 64, "cores_per_node": 16}, 4, 16),
        ({"cores_per_block": 64, "nodes_per_block": 2}, 2, 32),
        ({"cores_per_node": 8}, 1, 8),
    ],
)
def test_cores_of_a_block_become_nodes_and_their_cores(given, nodes, cores):
    provider = LSFProvider(request_by_nodes=False, bsub_redirection=True, move_files=True, **given)
    assert (provider.nodes_per_block, provider.cores_per_node) == (nodes, cores)


def test_cobalt_of_theta():
    provider = CobaltProvider(
        queue="YOUR_QUEUE",
        account="YOUR_ACCOUNT",
        launcher=AprunLauncher(overrides="-d 64"),
        walltime="00:30:00",
        nodes_per_block=2,
        min_blocks=0,
        max_blocks=1,
        scheduler_options="",
        worker_init="",
        cmd_timeout=120,
    )
    assert (provider.init_blocks, provider.queue, provider.account) == (0, "YOUR_QUEUE", "YOUR_ACCOUNT")
    assert provider.launcher.overrides == ["-d", "64"]


def test_defaults_and_positions_are_parsls():
    condor = CondorProvider(LocalChannel(), 1, 2, 1.0)
    assert (condor.max_blocks, condor.walltime, condor.cores_per_slot) == (10, 600.0, 2)
    cobalt = CobaltProvider(None, 2)
    assert (cobalt.init_blocks, cobalt.max_blocks, cobalt.launcher.kind) == (0, 10, "aprun")
    assert LSFProvider(nodes_per_block=2).launcher.kind == "single_node"


@pytest.mark.parametrize("cls", [CobaltProvider, CondorProvider, LSFProvider])
def test_each_is_a_provider_that_a_file_can_name(cls):
    made = cls()
    assert PROVIDERS.holds(made, made.kind)
