"""Parsl's providers for Grid Engine, PBS Professional and Torque."""

import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow.config import launchers
from cnflow.providers.batch.gridengine import GRID_ENGINE


def test_configuration_of_blue_waters_in_parsls_documentation():
    from parsl.launchers import AprunLauncher
    from parsl.providers import TorqueProvider

    provider = TorqueProvider(
        queue="normal",
        launcher=AprunLauncher(overrides="-b -- bwpy-environ --"),
        scheduler_options="",
        worker_init="",
        init_blocks=1,
        max_blocks=1,
        min_blocks=1,
        nodes_per_block=2,
        walltime="00:10:00",
    )
    assert (provider.kind, provider.label, provider.queue, provider.walltime) == ("torque", "torque", "normal", 600.0)
    assert isinstance(provider.launcher, launchers.AprunLauncher)


def test_configuration_of_cc_in2p3_in_parsls_documentation():
    from parsl.channels import LocalChannel
    from parsl.providers import GridEngineProvider

    provider = GridEngineProvider(
        channel=LocalChannel(), nodes_per_block=1, init_blocks=2, max_blocks=2, walltime="00:20:00", worker_init=""
    )
    assert (provider.kind, provider.max_blocks, provider.walltime) == ("gridengine", 2, 1200.0)


def test_parameters_by_position():
    from parsl.providers.pbspro.pbspro import PBSProProvider

    provider = PBSProProvider(None, "physics", "prod", "#PBS -l filesystems=home", "ngpus=4", "", 2, 32)
    assert (provider.account, provider.queue, provider.select_options) == ("physics", "prod", "ngpus=4")
    assert (provider.nodes_per_block, provider.cpus_per_node) == (2, 32)


@pytest.mark.parametrize(
    ("name", "walltime", "most", "launcher"),
    [
        ("TorqueProvider", 1200.0, 1, launchers.AprunLauncher),
        ("PBSProProvider", 1200.0, 1, launchers.SingleNodeLauncher),
        ("GridEngineProvider", 600.0, 10, launchers.SingleNodeLauncher),
    ],
)
def test_defaults_are_those_of_parsl(name, walltime, most, launcher):
    import parsl.providers

    provider = getattr(parsl.providers, name)()
    assert (provider.walltime, provider.max_blocks) == (walltime, most)
    assert isinstance(provider.launcher, launcher)
    assert getattr(parsl.providers, name)(init_blocks=20).max_blocks == 20


def test_parallel_environment_may_be_a_line_for_the_scheduler():
    from parsl.providers import GridEngineProvider

    GRID_ENGINE.refuse(GridEngineProvider(nodes_per_block=4, scheduler_options="#$ -pe mpi 16"))


def test_configuration_of_midway_in_parsls_documentation():
    from parsl.launchers import SrunLauncher
    from parsl.providers import SlurmProvider

    provider = SlurmProvider(
        "broadwl",
        launcher=SrunLauncher(),
        scheduler_options="",
        worker_init="source activate base",
        init_blocks=1,
        max_blocks=1,
        min_blocks=0,
        nodes_per_block=1,
        parallelism=1,
        walltime="00:30:00",
        mem_per_node=4,
        move_files=True,
    )
    assert (provider.label, provider.partition, provider.walltime) == ("slurm", "broadwl", 1800.0)
    assert provider.mem_per_node == 4 * 2**30
    assert isinstance(provider.launcher, launchers.SrunLauncher)
    assert SlurmProvider("debug").walltime == 600.0
    assert SlurmProvider("debug").max_blocks == 10


def test_all_parameters_of_slurm_by_position():
    from parsl.channels import LocalChannel
    from parsl.launchers import SrunLauncher
    from parsl.providers import SlurmProvider

    options = "\n    #SBATCH --mem=4G\n    #SBATCH --exclude=n1\n"
    provider = SlurmProvider(
        "debug", LocalChannel(), 2, 4, 8, 1, 0, 3, 0.5, "00:20:00", options, "", 10, False, True, SrunLauncher()
    )
    assert (provider.nodes_per_block, provider.max_blocks, provider.exclusive) == (2, 3, False)
    assert isinstance(provider.launcher, launchers.SrunLauncher)
    assert provider.scheduler_options.split("\n") == ["", "#SBATCH --mem=4G", "#SBATCH --exclude=n1", ""]
