"""Podman's service of a user without rights: runs of that user work, and files of tasks are that user's."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow.capsule import default_cache_dir

pytestmark = [pytest.mark.rootless, pytest.mark.timeout(180)]

SCRIPT = """\
import json, os, sys
import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

@python_app
def work():
    import os, pathlib, socket
    pathlib.Path("made.txt").write_text("by a task")
    return os.getuid(), socket.gethostname()

if __name__ == "__main__":
    options = json.loads(sys.argv[2])
    executor = HighThroughputExecutor(image=sys.argv[1], provider=DockerProvider(**options), max_workers=1)
    with cnflow.load(Config(executors=[executor])):
        uid, host = work().result(120)
        provider = executor.provider
    print(json.dumps({"uid": uid, "host": host, "own": os.getuid()}))
"""


@pytest.fixture(scope="module")
def user(rootless):
    """The user of the service, whose cache has the capsules of the user of the tests."""
    account = pwd.getpwuid(rootless.uid)
    cache = Path(account.pw_dir) / ".cache" / "cnflow"
    for kind in ("packages", "interpreters"):
        if (source := default_cache_dir() / kind).exists():
            shutil.copytree(source, cache / kind, dirs_exist_ok=True, symlinks=True)
    subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", cache.parent], check=True)
    return account


@pytest.fixture
def run_script(user, tmp_path_factory):
    """Runs the script as the user, who may read all files, as the interpreter's may lie in another's home."""
    folder = Path(user.pw_dir) / tmp_path_factory.mktemp("run").name
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    (folder / "script.py").write_text(SCRIPT)

    def run(image, **options):
        command = [
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
            *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"),
            *(sys.executable, "script.py", image, json.dumps(options)),
        ]
        variables = {"HOME": user.pw_dir, "XDG_RUNTIME_DIR": f"/run/user/{user.pw_uid}", "PATH": os.environ["PATH"]}
        return folder, subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)

    yield run
    shutil.rmtree(folder)


def test_files_of_tasks_belong_to_the_user_whose_root_of_the_container_they_are(run_script, rootless):
    folder, ended = run_script(rootless.image, engine="podman")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert (report["own"], report["uid"]) == (rootless.uid, 0)
    assert (folder / "made.txt").stat().st_uid == rootless.uid


def test_socket_that_the_user_may_not_use_is_named_with_the_one_of_podman(run_script, rootless):
    _, ended = run_script(rootless.image, engine="docker", host="unix:///var/run/docker.sock")
    assert ended.returncode != 0
    assert "Permission denied" in ended.stderr
    assert "unix:///var/run/docker.sock" in ended.stderr
    assert f"unix:///run/user/{rootless.uid}/podman/podman.sock" in ended.stderr
