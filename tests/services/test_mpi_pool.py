"""Tasks run in the ranks of a real MPI program, started as mpi4py's users start theirs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mpi_folder

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.mpi, pytest.mark.timeout(300)]  # on a busy machine; by itself it takes a few seconds


def run_ranks(number, *arguments, folder):
    """Run ``python -m mpi4py.futures ARGUMENTS`` in *number* ranks of MPICH, whose library mpi4py's wheel loads."""
    command = [str(mpi_folder() / "mpiexec"), "-n", str(number), sys.executable, "-m", "mpi4py.futures", *arguments]
    variables = {**os.environ, "LD_LIBRARY_PATH": str(mpi_folder().parent / "lib"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=folder, env=variables, check=False)


def test_executor_keeps_its_contract_in_the_ranks_of_an_mpi_program(tmp_path):
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "--timeout", "60"]
    contract = str(ROOT / "tests/services/mpi_pool_contract.py")
    done = run_ranks(3, "-m", "pytest", *options, "-c", str(ROOT / "pyproject.toml"), contract, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "19 passed, 1 skipped" in done.stdout


SCRIPT = """
import os
import cnflow
from cnflow.executors import MPIPoolExecutor

@cnflow.python_app
def rank_of(number):
    from mpi4py import MPI
    return MPI.COMM_WORLD.Get_rank(), number

@cnflow.python_app(walltime=0.5)
def asleep():
    import time
    time.sleep(60)

if __name__ == "__main__":
    with cnflow.load(cnflow.Config(executors=[MPIPoolExecutor()])):
        found = [rank_of(number) for number in range(20)]
        print(sorted({future.result()[0] for future in found}), sum(future.result()[1] for future in found))
        print(type(asleep().exception()).__name__)
"""


def test_script_runs_its_apps_in_the_other_ranks(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_ranks(3, "script.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    ranks, error, *_ = done.stdout.splitlines()
    assert ranks in {"[1, 2] 190", "[1] 190", "[2] 190"}
    assert error == "AppTimeout"


def test_script_that_its_workers_would_run_again_is_refused(tmp_path):
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    (tmp_path / "script.py").write_text(f"{script}\nprint('ran')\n")
    done = run_ranks(3, "script.py", folder=tmp_path)
    assert done.returncode != 0
    assert "ran" not in done.stdout.split()
    assert 'below `if __name__ == "__main__":`' in done.stderr


def test_program_of_one_rank_is_refused_with_the_command_to_use(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_ranks(1, "script.py", folder=tmp_path)
    assert done.returncode != 0
    assert "this MPI program has one rank" in done.stderr
    assert "mpiexec -n 5 python -m mpi4py.futures script.py" in done.stderr
