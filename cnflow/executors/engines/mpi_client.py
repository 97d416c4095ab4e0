"""Makes pools of mpi4py; the only importer of mpi4py. MPI is initialized with this import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from cnflow.config.engine_executors import MPIPoolExecutor

try:
    from mpi4py import MPI
    from mpi4py.futures import MPIPoolExecutor as Pool
except (ImportError, RuntimeError, OSError) as _error:
    raise ConfigurationError(
        f"MPIPoolExecutor: mpi4py does not find this machine's MPI: {_error}. Load its module (module load mpich), "
        "or build mpi4py with it: pip install --no-binary mpi4py mpi4py"
    ) from _error


_NAME_IN_WORKERS = "__worker__"
"""Name under which workers of mpi4py.futures import the script (mpi4py's documentation, "Command line")."""


def check_ranks(max_workers: int | None) -> None:
    """Check that this is the rank of the script, and that there are ranks for workers.

    Raises:
        ConfigurationError: it is a worker that imports the script; or there are none, and none are to be spawned.
    """
    if sys.modules["__main__"].__name__ == _NAME_IN_WORKERS:  # it would run all of the script once more
        raise ConfigurationError(
            "MPIPoolExecutor: a worker's rank loads the run, too, since each worker imports the script. Put "
            'cnflow.load and the calls below `if __name__ == "__main__":`.'
        )
    size = MPI.COMM_WORLD.Get_size()
    is_served = _is_served()
    if is_served and size < 2:  # noqa: PLR2004 - the script and one worker
        raise ConfigurationError(
            "MPIPoolExecutor: this MPI program has one rank, the script's own. Start it with one more for each worker: "
            "mpiexec -n 5 python -m mpi4py.futures script.py"
        )
    if is_served and max_workers is not None and max_workers > size - 1:
        raise ConfigurationError(
            f"MPIPoolExecutor: max_workers={max_workers} are asked for, and this MPI program has {size - 1} ranks "
            f"besides the script's. Leave it out, or: mpiexec -n {max_workers + 1} python -m mpi4py.futures script.py"
        )
    if not is_served and size > 1:
        raise ConfigurationError(
            f"MPIPoolExecutor: {size} ranks run this script, each from its start. Start it so that one runs it and the "
            f"others are workers: mpiexec -n {size} python -m mpi4py.futures script.py"
        )
    if not is_served and max_workers is None:
        raise ConfigurationError(
            "MPIPoolExecutor: no ranks are there for workers. Start the script by "
            "mpiexec -n 5 python -m mpi4py.futures script.py, or give max_workers=, which are spawned."
        )


def make_pool(settings: MPIPoolExecutor) -> Executor:
    """Make the pool of *settings*."""
    pool: Executor = Pool(max_workers=settings.max_workers)
    return pool


def _is_served() -> bool:
    """Return True where ``python -m mpi4py.futures`` has started this script."""
    from mpi4py.futures import _core  # noqa: PLC0415 - private: the package tells it nowhere else

    return getattr(_core, "SharedPool", None) is not None and _core.SharedPool is not None
