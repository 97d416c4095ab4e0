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
