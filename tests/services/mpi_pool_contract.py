"""`ExecutorContract` on the ranks of an MPI program, which test_mpi_pool.py starts."""

import pytest

from cnflow.config import MPIPoolExecutor
from cnflow.executors.engines.pools import make_mpi
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.testing.contracts.executor import ExecutorContract


class TestMPIPool(ExecutorContract):
    stops_tasks = False

    @pytest.fixture
    def make_executor(self, tmp_path):
        return lambda: make_mpi(MPIPoolExecutor(), RunContext(RunId("test"), tmp_path))
