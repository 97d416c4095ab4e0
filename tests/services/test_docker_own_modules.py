"""The user's own modules in containers, which have none of the user's files; the script is in tests/data."""

import pathlib
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.docker

LABORATORY = pathlib.Path(__file__).parent.parent / "data" / "laboratory"


def test_tasks_in_containers_have_the_modules_of_the_script_as_threads_have(image_base, tmp_path):
    folder = shutil.copytree(LABORATORY, tmp_path / "laboratory")
    by_kind = []
    for kind in ("threads", image_base):
        command = [sys.executable, "script.py", kind, str(tmp_path / kind.replace(":", "-"))]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        by_kind.append(done.stdout)
    assert by_kind[0] == by_kind[1]
