import os
import subprocess

import pytest

from cnflow.providers._shared.block_end import BLOCK_END_SCRIPT, block_end

CASES = [
    ({}, ""),
    ({"SLURM_JOB_END_TIME": "1100"}, "1100"),
    ({"PBS_WALLTIME": "3600"}, "4600"),
    ({"SLURM_JOB_END_TIME": "1100", "CNFLOW_BLOCK_ENDS_AT": "1030.5"}, "1030.5"),
    ({"PBS_WALLTIME": "3600", "CNFLOW_BLOCK_ENDS_AT": "1030.5"}, "1030.5"),
    ({"PBS_WALLTIME": "3600", "CNFLOW_BLOCK_ENDS_AT": ""}, "4600"),
]


@pytest.mark.parametrize(("environment", "end"), CASES)
def test_the_end_of_a_batch_job_becomes_the_end_of_the_block(environment, end):
    assert block_end(environment, 1000.0).get("CNFLOW_BLOCK_ENDS_AT", "") == end


def test_a_walltime_that_is_no_number_is_ignored():
    assert block_end({"PBS_WALLTIME": "soon"}, 1000.0) == {}


@pytest.mark.parametrize(("environment", "end"), CASES)
def test_the_script_of_a_batch_job_exports_the_same_end(environment, end, tmp_path):
    (tmp_path / "date").write_text("#!/bin/sh\n[ $1 = +%s ] && echo 1000\n")
    (tmp_path / "date").chmod(0o755)
    exported = subprocess.run(
        ["/bin/sh", "-euc", f'{BLOCK_END_SCRIPT}/usr/bin/env printf %s "$CNFLOW_BLOCK_ENDS_AT"'],
        env={**environment, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert exported.stdout == end
