"""Sites in the United States.

Each site's facts have their sources above it, as read in November 2026 in stored copies, which may be older than the
manual of today; "not confirmed" names what no source was found for. No site was tried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.config.launchers import JsrunLauncher, MpiExecLauncher, MpiRunLauncher, SrunLauncher
from cnflow.configs._site import Site

if TYPE_CHECKING:
    from cnflow.config.config import Config

# https://docs.nersc.gov/connect/ and .../connect/mfa/: host, one-time password. https://docs.nersc.gov/jobs/policy/:
# QOS "regular", account by -A. https://docs.nersc.gov/beginner-guide/nodetypesfig: 4 A100 on a GPU node.
# https://nersc.gitlab.io/development/containers/: podman-hpc beside Shifter. Globus Compute's configuration
# (docs/endpoints/configs/perlmutter.yaml of globus/globus-compute): srun, --constraint=gpu, a slow scheduler.
# Not confirmed: that the scheduler wants --gpus-per-node for whole nodes.
_PERLMUTTER = Site(
    "perlmutter",
    "perlmutter.nersc.gov",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "podman_hpc", "cmd_timeout": 120},
)

# https://docs.tacc.utexas.edu/basics/mfa/: token code. https://docs.tacc.utexas.edu/hpc/frontera/ (September 2025),
# tables 6 and 7: "small" for 1 and 2 nodes, "normal" from 3, walltime required, no job arrays, no --mem.
# https://docs.tacc.utexas.edu/hpc/stampede3/ (March 2025), tables 8 and 9: queues, walltime required, arrays.
# https://containers-at-tacc.readthedocs.io/en/latest/singularity/01.singularity_basics.html: the module tacc-apptainer,
# on compute nodes only. srun: Parsl's frontera.py and Globus Compute's stampede3.yaml.
# Not confirmed: that --exclusive, which whole nodes do not need, is accepted.
_TACC = {"launcher": SrunLauncher(), "runtime": "apptainer", "worker_init": "module load tacc-apptainer"}
_FRONTERA = Site("frontera", "frontera.tacc.utexas.edu", "slurm", defaults={**_TACC, "job_arrays": False})
_STAMPEDE = Site("stampede", "stampede3.tacc.utexas.edu", "slurm", defaults=_TACC)

# https://docs.alcf.anl.gov/polaris/getting-started/: host, token. https://docs.alcf.anl.gov/polaris/running-jobs/:
# queues, filesystems, mpiexec with --cpu-bind and --depth. https://docs.alcf.anl.gov/polaris/workflows/parsl/: 4 GPUs
# by ngpus=4, 32 cores with two threads, --depth=64.
# https://docs.alcf.anl.gov/polaris/containers/containers/: modules (Apptainer 1.4; another copy has spack-pe-base/0.6.2
# and the module apptainer, 1.2.2), --fakeroot always, on compute nodes only.
# Not confirmed: which copy of that page is today's, and whether jobs need -l singularity_fakeroot=true to run images,
# as builds do.
_POLARIS = Site(
    "polaris",
    "polaris.alcf.anl.gov",
    "pbspro",
    defaults={
        "cpus_per_node": 64,
        "select_options": "ngpus=4",
        "launcher": MpiExecLauncher(bind_cmd="--cpu-bind", overrides=["--depth=64"]),
        "runtime": {"kind": "apptainer", "options": ["--fakeroot"]},
        "worker_init": "module use /soft/modulefiles\nmodule load spack-pe-base/0.8.1\n"
        "module use /soft/spack/testing/0.8.1/modulefiles\nmodule load apptainer/main e2fsprogs",
        "cmd_timeout": 120,
    },
    executor={"available_accelerators": 4, "max_workers": 4},
)

# https://docs.lcrc.anl.gov/account-project-management/ssh/: host, key and Duo.
# https://docs.lcrc.anl.gov/improv/running-jobs-improv/: queues, 128 cores, whole nodes, mpirun of Open MPI by these
# modules (and Parsl's improv.py). https://docs.lcrc.anl.gov/running-jobs-at-lcrc/pbs-pro-clusters/: account and
# walltime are mandatory. Not confirmed: Apptainer or any other container runtime.
_IMPROV = Site(
    "improv",
    "improv.lcrc.anl.gov",
    "pbspro",
    defaults={
        "cpus_per_node": 128,
        "launcher": MpiRunLauncher(),
        "runtime": "apptainer",
        "worker_init": "module load gcc openmpi",
    },
)

# https://docs.olcf.ornl.gov/systems/summit_user_guide.html: host, -P, -W and -nnodes required, jobs run on launch nodes
# and reach others by jsrun. https://docs.olcf.ornl.gov/systems/2024_olcf_system_changes.html: the end, 15 November
# 2024. https://docs.olcf.ornl.gov/connecting/index.html: SecurID, and no multiplexing of ssh, so that each command of
# cnflow there would be a login. Parsl's summit.py: files that nodes write are on the parallel file system.
_SUMMIT = Site(
    "summit",
    "summit.olcf.ornl.gov",
    "lsf",
    defaults={"launcher": JsrunLauncher(), "runtime": "none", "gpus_per_node": None},
)

# https://support.access-ci.org/documentation/ssh-login: host. SDSC's tutorial of 2026
# (https://github.com/sdsc/sdsc-summer-institute-2026, 3.1_data_management): each login asks for a TOTP code.
# https://sdsc.edu/services/hpc/hpc_systems.html: 128 cores, 4 GPUs. Partitions: Parsl's expanse.py, Globus Compute's
# expanse.yaml. The module singularitypro: scripts of users on GitHub.
# Not confirmed, since https://www.sdsc.edu/systems/expanse/user_guide.html was not found: that GPUs go by
# --gpus-per-node (signac-flow's expanse.sh has --gpus), and limits of walltime.
_EXPANSE = Site(
    "expanse",
    "login.expanse.sdsc.edu",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "worker_init": "module load singularitypro"},
)

# https://www.psc.edu/resources/bridges-2/: whole nodes of 128 cores. From others, since the user guide
# (https://www.psc.edu/resources/bridges-2/user-guide/) was not found: the host and RM (docs/source/supported of
# radical-cybertools/radical.pilot), RM-shared and Singularity without a module (doc/clusters/bridges2.rst of
# glotzerlab/software), keys that PSC registers (README files of users).
# Not confirmed: whether the login asks for a second factor, and that RM accepts --exclusive.
_BRIDGES = Site(
    "bridges",
    "bridges2.psc.edu",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "cmd_timeout": 120},
    asks=False,
)

# https://docs.ncsa.illinois.edu/systems/delta/en/latest/user_guide/: login.html (host, Duo, no keys),
# running_jobs.html (partitions, nodes are shared unless --exclusive), architecture.html (labels of file systems, which
# jobs are requested to name: scratch, projects, taiga, with & between them; 64 cores), containers.html (Apptainer, no
# module).
_DELTA = Site(
    "delta",
    "login.delta.ncsa.illinois.edu",
    "slurm",
    defaults={"constraint": "scratch", "launcher": SrunLauncher(), "runtime": "apptainer"},
)

# https://docs.rcac.purdue.edu/userguides/anvil/: getting-started (host, keys, no passwords), jobs (queues, account and
# partition are mandatory, 128 cores), anvil-software (Singularity).
# Not confirmed: that Singularity needs no module.
_ANVIL = Site(
    "anvil",
    "anvil.rcac.purdue.edu",
    "slurm",
    asks=False,
    defaults={"launcher": SrunLauncher(), "runtime": "singularity"},
)

# https://docs.rcc.uchicago.edu/: ssh/main (host, Duo), slurm/main (the account is mandatory), slurm/sbatch (caslake),
# software/apps-and-envs/singularity (module). srun: Globus Compute's midway_apptainer.yaml.
_MIDWAY = Site(
    "midway",
    "midway3.rcc.uchicago.edu",
    "slurm",
    defaults={"launcher": SrunLauncher(), "runtime": "singularity", "worker_init": "module load singularity"},
)

# https://osg-htc.org/osg-portal-documentation/overview/account_setup/comanage-access (and that page's source in
# https://github.com/osg-htc/user-documentation): ap40, ap41 and ap43; a login by a web page, or by a key and Duo.
# Of https://portal.osg-htc.org/documentation/: support_and_training/ap20-21-migration-fall2025/ (ap20 and ap21 ended in
# December 2025), htc_workloads/containers/overview/ (a job names its image by +SingularityImage, and should start no
# container itself), htc_workloads/workload_planning/jobdurationcategory/ (10 hours unless a job says "Long").
# https://osg-htc.org/technology/software/ospool-containers/: HAS_SINGULARITY, and jobs run in containers already.
# Not confirmed, and doubtful: that Apptainer starts images there, and that nodes reach ports of the access point.
_OSG = Site(
    "osg",
    "ap41.uw.osg-htc.org",
    "condor",
    defaults={
        "cores_per_slot": 1,
        "mem_per_slot": "2GB",
        "disk_per_slot": "4GB",
        "requirements": "HAS_SINGULARITY == True",
        "runtime": "apptainer",
    },
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
    partition: str = "",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Frontera of TACC: whole nodes, of ``small`` for blocks of one or two, else of ``normal``; images by Apptainer."""
    fitting = "small" if options.get("nodes_per_block", 1) <= _MOST_OF_SMALL else "normal"
    return _FRONTERA.config({"account": account, "partition": partition or fitting, **options}, image, login)


_MOST_OF_SMALL = 2
"""Nodes of a job in Frontera's queue ``small``; ``normal`` takes more only."""


def stampede(
    account: str,
    *,
    partition: str = "skx",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Stampede3 of TACC: whole nodes of ``skx``, ``icx``, ``spr``, ``pvc`` or ``h100``; images by Apptainer."""
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
    """Polaris of ALCF: 4 GPUs per node; ``debug`` takes 1 or 2 nodes, ``prod`` 10 or more; images by Apptainer."""
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
    """Improv of Argonne's LCRC: whole nodes of 128 cores, by Open MPI; its manual names no container runtime."""
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
    """Delta of NCSA: a quarter of a node with one of its four GPUs; ``partition="cpu"``, ``gpus_per_node=None``.

    Accounts are those of one kind of nodes: ``NAME-delta-gpu``, ``NAME-delta-cpu``.
    """
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
    """Anvil of Purdue: whole nodes of 128 cores; a share with ``partition="shared"`` and ``exclusive=False``.

    Names of users there begin with ``x-``.
    """
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


def osg(
    project: str,
    *,
    access_point: str = "ap41.uw.osg-htc.org",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """OSPool of the Open Science Grid: a core per block, on nodes of many sites that share no files.

    *access_point* is the user's own. The pool runs jobs in containers already, so that *image* may not work there.
    """
    return replace(_OSG, login=access_point).config({"project": project, **options}, image, login)
