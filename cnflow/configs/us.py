"""Sites in the United States. Facts from their manuals, as of 2025; a site changes its queues now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.config.launchers import JsrunLauncher, MpiExecLauncher, SrunLauncher
from cnflow.configs._site import Site

if TYPE_CHECKING:
    from cnflow.config.config import Config

_TACC = {"launcher": SrunLauncher(), "runtime": "apptainer", "worker_init": "module load tacc-apptainer"}

# https://docs.nersc.gov/systems/perlmutter/running-jobs/ and .../development/containers/podman-hpc/overview/
_PERLMUTTER = Site(
    "perlmutter",
    "perlmutter.nersc.gov",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "podman_hpc", "cmd_timeout": 120},
)

# https://docs.tacc.utexas.edu/hpc/frontera/ and https://docs.tacc.utexas.edu/hpc/stampede3/: whole nodes
_FRONTERA = Site("frontera", "frontera.tacc.utexas.edu", "slurm", defaults=_TACC)
_STAMPEDE = Site("stampede", "stampede3.tacc.utexas.edu", "slurm", defaults=_TACC)

# https://docs.alcf.anl.gov/polaris/running-jobs/ and https://docs.alcf.anl.gov/polaris/containers/containers/:
# 32 cores with two threads, 4 A100; a job names the file systems that it needs
_POLARIS = Site(
    "polaris",
    "polaris.alcf.anl.gov",
    "pbspro",
    defaults={
        "cpus_per_node": 64,
        "select_options": "ngpus=4",
        "launcher": MpiExecLauncher(bind_cmd="--cpu-bind", overrides=["--depth=64"]),
        "runtime": "apptainer",
        "worker_init": "module use /soft/modulefiles\nmodule load spack-pe-base apptainer",
        "cmd_timeout": 120,
    },
    executor={"available_accelerators": 4, "max_workers": 4},
)

# https://docs.lcrc.anl.gov/improv/running-jobs-improv/: 128 cores
_IMPROV = Site(
    "improv",
    "improv.lcrc.anl.gov",
    "pbspro",
    asks=False,
    defaults={"cpus_per_node": 128, "launcher": MpiExecLauncher(bind_cmd=""), "runtime": "apptainer"},
)

# https://docs.olcf.ornl.gov/systems/summit_user_guide.html: home folders are read-only on nodes; ended in November 2024
_SUMMIT = Site(
    "summit",
    "summit.olcf.ornl.gov",
    "lsf",
    defaults={"launcher": JsrunLauncher(), "runtime": "none", "gpus_per_node": None},
)

# https://www.sdsc.edu/systems/expanse/user_guide.html
_EXPANSE = Site(
    "expanse",
    "login.expanse.sdsc.edu",
    "slurm",
    asks=False,
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "worker_init": "module load singularitypro"},
)

# https://www.psc.edu/resources/bridges-2/user-guide/
_BRIDGES = Site(
    "bridges",
    "bridges2.psc.edu",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "cmd_timeout": 120},
    asks=False,
)

# https://docs.ncsa.illinois.edu/systems/delta/en/latest/user_guide/running_jobs.html: a job names its file systems
_DELTA = Site(
    "delta",
    "login.delta.ncsa.illinois.edu",
    "slurm",
    defaults={"constraint": "scratch", "launcher": SrunLauncher(), "runtime": "apptainer"},
)

# https://www.rcac.purdue.edu/knowledge/anvil
_ANVIL = Site(
    "anvil",
    "anvil.rcac.purdue.edu",
    "slurm",
    asks=False,
    defaults={"launcher": SrunLauncher(), "runtime": "apptainer"},
)

# https://docs.rcc.uchicago.edu/slurm/sbatch/
_MIDWAY = Site(
    "midway",
    "midway3.rcc.uchicago.edu",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "worker_init": "module load singularity"},
)

# https://portal.osg-htc.org/documentation/htc_workloads/submitting_workloads/submit-workload/: no shared files, and
# nodes connect to the access point, whose open ports the site tells
_OSG = Site(
    "osg",
    "ap20.uc.osg-htc.org",
    "condor",
    asks=False,
    defaults={"cores_per_slot": 1, "mem_per_slot": "2GB", "disk_per_slot": "4GB", "runtime": "apptainer"},
    executor={"max_workers": 1},
)


def perlmutter(
    account: str,
    *,
    constraint: str = "gpu",
    qos: str = "regular",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Perlmutter of NERSC: whole nodes, with ``constraint="gpu"`` or ``"cpu"``; images by podman-hpc."""
    gpus = 4 if constraint.startswith("gpu") else None
    given = {"account": account, "constraint": constraint, "qos": qos, "gpus_per_node": gpus, **options}
    return _PERLMUTTER.config(given, image, login)


def frontera(
    account: str,
    *,
    partition: str = "normal",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Frontera of TACC: whole nodes; jobs of one or two nodes go to ``partition="small"``; images by Apptainer."""
    return _FRONTERA.config({"account": account, "partition": partition, **options}, image, login)


def stampede(
    account: str,
    *,
    partition: str = "skx",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Stampede3 of TACC: whole nodes of ``skx``, ``icx``, ``spr`` or ``pvc``; images by Apptainer."""
    return _STAMPEDE.config({"account": account, "partition": partition, **options}, image, login)


def polaris(
    account: str,
    *,
    queue: str = "debug",
    filesystems: str = "home:eagle",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Polaris of ALCF: 4 GPUs per node; ``queue="prod"`` takes 10 nodes or more; images by Apptainer."""
    lines = [f"#PBS -l filesystems={filesystems}", options.pop("scheduler_options", "")]
    given = {"account": account, "queue": queue, "scheduler_options": "\n".join(filter(None, lines)), **options}
    return _POLARIS.config(given, image, login)


def improv(
    account: str,
    *,
    queue: str = "compute",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Improv of Argonne's LCRC: 128 cores per node; load a module of MPI by `worker_init`."""
    return _IMPROV.config({"account": account, "queue": queue, **options}, image, login)


def summit(
    project: str,
    site_dir: str,
    *,
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Summit of OLCF (until 2024), and sites like it: LSF with jsrun; *site_dir* is on the parallel file system."""
    return _SUMMIT.config({"project": project, "site_dir": site_dir, **options}, image, login)


def expanse(
    account: str,
    *,
    partition: str = "compute",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Expanse of SDSC: whole nodes of 128 cores; ``partition="gpu"`` has 4 GPUs; images by SingularityPRO."""
    gpus = 4 if partition == "gpu" else None
    return _EXPANSE.config({"account": account, "partition": partition, "gpus_per_node": gpus, **options}, image, login)


def bridges(
    account: str,
    *,
    partition: str = "RM",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Bridges-2 of PSC: whole nodes of ``RM``, or a share of one with ``RM-shared`` and ``exclusive=False``."""
    return _BRIDGES.config({"account": account, "partition": partition, **options}, image, login)


def delta(
    account: str,
    *,
    partition: str = "gpuA100x4",
    gpus_per_node: int | None = 1,
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Delta of NCSA: a quarter of a node with one of its four GPUs; ``partition="cpu"``, ``gpus_per_node=None``."""
    shared = {"exclusive": False, "cores_per_node": 16, "mem_per_node": "60g"}
    given = {**shared, "account": account, "partition": partition, "gpus_per_node": gpus_per_node, **options}
    return _DELTA.config(given, image, login)


def anvil(
    account: str,
    *,
    partition: str = "wholenode",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Anvil of Purdue: whole nodes of 128 cores; a share with ``partition="shared"`` and ``exclusive=False``."""
    return _ANVIL.config({"account": account, "partition": partition, **options}, image, login)


def midway(
    account: str,
    *,
    partition: str = "caslake",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Midway3 of the University of Chicago; *account* is that of the group, ``pi-NAME``; images by Singularity."""
    return _MIDWAY.config({"account": account, "partition": partition, **options}, image, login)


def osg(project: str, *, image: str = "", login: str | None = None, **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """OSPool of the Open Science Grid: a core per block, on nodes of many sites that share no files."""
    given = {"scheduler_options": f'+ProjectName = "{project}"', "requirements": "HAS_SINGULARITY == True", **options}
    return _OSG.config(given, image, login)
