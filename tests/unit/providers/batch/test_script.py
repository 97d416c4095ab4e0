"""The body of a job, run by a real shell."""

import os
import subprocess

from cnflow.providers.batch.script import Body, render


def run(body, folder):
    script = folder / "job.sh"
    script.write_text(render(body))
    old = os.umask(0o027)
    try:
        return subprocess.run(["sh", str(script)], cwd=folder, capture_output=True, text=True, check=True).stdout
    finally:
        os.umask(old)


def test_tasks_have_the_umask_of_the_job_and_copied_keys_are_private(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    copy = tmp_path / "copy"
    assert run(Body(argv=["sh", "-c", "umask"], copies={str(key): str(copy)}), tmp_path).strip() == "0027"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_worker_init_that_exits_is_named(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(render(Body(argv=["echo", "workers"], worker_init="set -e\nexport A=1\n[ $A = 2 ]")))
    done = subprocess.run(["sh", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "worker_init ended with code 1 on " in done.stderr


def test_worker_init_that_ends_well_leaves_no_word(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(render(Body(argv=["sh", "-c", "echo $A; exit 3"], worker_init="export A=1; false")))
    done = subprocess.run(["sh", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "1\n", "")
