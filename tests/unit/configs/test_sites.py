"""Ready-made sites: what each would submit, for a block of two nodes where the site has such."""

import inspect
import re

import pytest

from cnflow import configs
from cnflow.channels import LocalChannel, SSHChannel, SSHInteractiveLoginChannel
from cnflow.cli.request_preview import preview_requests
from cnflow.config import DockerProvider, LocalProvider
from cnflow.config.channels import SSHSettings
from cnflow.model.image import Image

SITES = {name: getattr(configs, name) for name in configs.__all__ if name not in {"ec2", "kubernetes", "laptop"}}


def submitted(config):
    """Lines of the submit script that are for the scheduler and the site, not cnflow's own; and its launcher."""
    (request,) = preview_requests(config).values()
    lines = []
    for line in request["script"]:
        directive = re.match(
            r"#(SBATCH|PBS|BSUB) (?!.*(cnflow|--open-mode|--signal|-S /bin/sh|-[rm] n|-rn|-w[ta] ))", line
        )
        own = re.match(r"(module (use|load)|request_|requirements|My\.ProjectName|\+|universe)", line)
        if directive or own:
            lines.append(line)
    return "\n".join([*lines, config.executors[0].provider.launcher.kind])


def made(name, **options):
    """Configuration of a site, with an account named ACCOUNT."""
    needed = [p.name for p in inspect.signature(SITES[name]).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    values = {"account": "ACCOUNT", "project": "ACCOUNT", "site_dir": "/gpfs/ada"}
    nodes = {} if name == "osg" else {"nodes_per_block": 2}
    return SITES[name](*(values[each] for each in needed if each in values), **{**nodes, **options})


SUBMITTED = {
    "anvil": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=wholenode
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
srun
""",
    "bridges": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=RM
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
srun
""",
    "cc_in2p3": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=htc
#SBATCH --account=ACCOUNT
#SBATCH --cpus-per-task=1
#SBATCH --mem=3072M
#SBATCH --no-requeue
#SBATCH --no-kill
#SBATCH --licenses=sps
srun
""",
    "delta": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=gpuA100x4
#SBATCH --account=ACCOUNT
#SBATCH --constraint=scratch
#SBATCH --cpus-per-task=16
#SBATCH --mem=61440M
#SBATCH --gpus-per-node=1
#SBATCH --no-requeue
#SBATCH --no-kill
srun
""",
    "expanse": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=compute
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
module load singularitypro
srun
""",
    "frontera": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=small
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
module load tacc-apptainer
srun
""",
    "improv": """\
#PBS -l select=2:ncpus=128
#PBS -l place=scatter
#PBS -l walltime=00:30:00
#PBS -q compute
#PBS -A ACCOUNT
module load gcc openmpi
mpirun
""",
    "midway": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=caslake
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
module load singularity
srun
""",
    "osg": """\
request_cpus = 1
request_memory = 1908
request_disk = 3906250
requirements = (HAS_SINGULARITY == True) && (MY.NumJobStarts =?= undefined || MY.NumJobStarts == 0)
My.ProjectName = "ACCOUNT"
simple
""",
    "perlmutter": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --account=ACCOUNT
#SBATCH --qos=regular
#SBATCH --constraint=gpu
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
srun
""",
    "polaris": """\
#PBS -l select=2:ncpus=64:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=00:30:00
#PBS -q debug
#PBS -A ACCOUNT
#PBS -l filesystems=home:eagle
module use /soft/modulefiles
module load spack-pe-base/0.8.1
module use /soft/spack/testing/0.8.1/modulefiles
module load apptainer/main e2fsprogs
mpiexec
""",
    "slurm_in_5_lines": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
srun
""",
    "stampede": """\
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --partition=skx
#SBATCH --account=ACCOUNT
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --no-kill
module load tacc-apptainer
srun
""",
    "summit": """\
#BSUB -nnodes 2
#BSUB -W 30
#BSUB -P ACCOUNT
jsrun
""",
}


@pytest.mark.parametrize("name", SITES)
def test_site_submits_these_lines(name):
    assert submitted(made(name)) + "\n" == SUBMITTED[name]


@pytest.mark.parametrize("name", [name for name in SITES if name != "slurm_in_5_lines"])
def test_site_takes_an_image_other_options_and_a_login_from_elsewhere(name):
    config = made(name, image="ghcr.io/ada/app:1", login="ada", max_blocks=7, walltime="01:00:00")
    (executor,) = config.executors
    assert executor.image == Image("ghcr.io/ada/app:1")
    assert (executor.provider.max_blocks, executor.provider.walltime) == (7, 3600)
    assert isinstance(executor.provider.channel, SSHSettings)
    assert executor.provider.channel.user == "ada"
    assert made(name).executors[0].provider.channel == LocalChannel()


@pytest.mark.parametrize(
    ("name", "program"),
    [("perlmutter", "podman-hpc"), ("polaris", "apptainer"), ("expanse", "singularity"), ("delta", "apptainer")],
)
def test_image_runs_by_the_runtime_of_the_site(name, program):
    (request,) = preview_requests(made(name, image="docker://ghcr.io/ada/app:1")).values()
    assert program in "\n".join(request["script"])


def test_login_with_a_second_factor_asks_and_one_with_a_key_does_not():
    for name in ("frontera", "improv", "expanse", "osg"):
        assert isinstance(made(name, login="ada").executors[0].provider.channel, SSHInteractiveLoginChannel)
    assert isinstance(made("anvil", login="ada").executors[0].provider.channel, SSHChannel)


def test_partition_without_gpus_asks_for_none():
    assert "gpus" not in submitted(made("perlmutter", constraint="cpu"))
    assert "--gpus-per-node=4" in submitted(made("expanse", partition="gpu"))


def test_queue_of_frontera_fits_the_nodes_of_a_block():
    assert "--partition=normal" in submitted(made("frontera", nodes_per_block=3))
    assert "--partition=flex" in submitted(made("frontera", partition="flex"))


def test_site_without_job_arrays_is_asked_for_none():
    assert not made("frontera").executors[0].provider.job_arrays
    assert made("stampede").executors[0].provider.job_arrays


def test_image_on_polaris_starts_with_fakeroot():
    (request,) = preview_requests(made("polaris", image="docker://ghcr.io/ada/app:1")).values()
    assert "--fakeroot" in "\n".join(request["script"])


def test_access_point_of_the_pool_is_the_users_own():
    assert made("osg", login="ada").executors[0].provider.channel.host == "ap41.uw.osg-htc.org"
    assert (
        made("osg", login="ada", access_point="ap40.uw.osg-htc.org")
        .executors[0]
        .provider.channel.host.startswith("ap40")
    )


def test_storage_is_declared_unless_there_is_none():
    assert "licenses" not in submitted(made("cc_in2p3", storage=""))
    assert "#SBATCH --licenses=sps\n#SBATCH --mail-type=END" in submitted(
        made("cc_in2p3", scheduler_options="#SBATCH --mail-type=END")
    )


def test_lines_of_the_user_come_after_those_of_the_site():
    lines = submitted(made("polaris", scheduler_options="#PBS -l place=excl"))
    assert "#PBS -l filesystems=home:eagle\n#PBS -l place=excl" in lines


def test_ec2_has_machines_of_the_region():
    (executor,) = configs.ec2("app:1", "us-west-2", spot=True).executors
    assert (str(executor.image), executor.provider.region, executor.provider.spot) == ("app:1", "us-west-2", True)


def test_kubernetes_runs_containers_in_the_namespace():
    (executor,) = configs.kubernetes("app:1", "science", max_cpu=2).executors
    assert (str(executor.image), executor.provider.namespace, executor.provider.max_cpu) == ("app:1", "science", 2)


def test_laptop_runs_processes_or_containers():
    assert isinstance(configs.laptop().executors[0].provider, LocalProvider)
    config = configs.laptop("app:1", max_blocks=2)
    assert isinstance(config.executors[0].provider, DockerProvider)
    assert config.executors[0].image == Image("app:1")
