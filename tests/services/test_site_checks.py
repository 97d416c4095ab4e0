"""``cnflow config check`` on real Slurm, from the login node and over ssh."""

import json

import pytest
from typer.testing import CliRunner

from cnflow.cli.app import app
from tests.conftest import slurm_conf
from tests.services.sshd_server import Sshd

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Checks a provider: ``check('SlurmProvider(...)', *options)`` gives the exit code and the findings."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))

    def run(provider, *options):
        (tmp_path / "site.py").write_text(
            "from cnflow import Config\nfrom cnflow.channels import SSHChannel\n"
            "from cnflow.config import HighThroughputExecutor, SlurmProvider\n"
            f"config = Config(executors=[HighThroughputExecutor(provider={provider})])\n"
        )
        done = CliRunner().invoke(app, ["config", "check", str(tmp_path / "site.py"), "--json", *options])
        return done.exit_code, json.loads(done.stdout)["executors"]["htex"]

    return run


def words(findings):
    return "\n".join(f"{found['about']}: {found['verdict']}: {found['found']} {found['advice']}" for found in findings)


def test_options_are_checked_without_asking_anybody(check, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", "/nowhere")
    code, found = check("SlurmProvider(partition='no such')")
    assert (code, [one["about"] for one in found]) == (0, ["options"])


def test_site_and_a_node_are_looked_at_and_nothing_is_left(check, tmp_path):
    site = tmp_path / "site"
    code, found = check(
        f"SlurmProvider(site_dir={str(site)!r}, exclusive=False, poll_period=1, worker_init='export A=1')",
        "--probe-job",
    )
    assert code == 0, words(found)
    assert "answers; you have" in words(found)
    assert "GiB of its file system are free" in words(found)
    assert "reaches the interchange's machine at" in words(found)
    assert list((site / "probe").iterdir()) == []


def test_site_over_ssh_is_looked_at_with_its_own_python(check, tmp_path):
    server = Sshd(tmp_path / "sshd")
    options = server.settings(environment={"SLURM_CONF": str(slurm_conf("slurm"))}).model_dump(exclude={"kind"})
    try:
        code, found = check(
            f"SlurmProvider(site_dir={str(tmp_path / 'site')!r}, exclusive=False, poll_period=1, "
            f"channel=SSHChannel(**{options!r}))",
            "--probe-job",
        )
    finally:
        server.stop()
    assert code == 0, words(found)
    assert "Slurm on root@127.0.0.1" in words(found)
    assert "reaches the interchange's machine at" in words(found)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("partition='debog'", "There is no partition 'debog'. Did you mean 'debug'?"),
        ("partition='closed'", "takes or starts no jobs now"),
        ("partition='short', walltime='02:00:00'", "walltime is 2 h 0 min"),
    ],
)
def test_partition_that_cannot_run_the_blocks_is_bad(check, tmp_path, options, problem):
    code, found = check(f"SlurmProvider(site_dir={str(tmp_path / 'site')!r}, {options})", "--on-site")
    assert code == 1
    assert problem in words(found)


def test_probe_job_that_waits_too_long_is_cancelled(check, tmp_path):
    code, found = check(
        f"SlurmProvider(site_dir={str(tmp_path / 'site')!r}, exclusive=False, poll_period=1, "
        "scheduler_options='#SBATCH --begin=now+1hour')",
        "--probe-job",
        "--timeout=2",
    )
    assert code == 1
    assert "did not end within 2 s, and was cancelled: pending" in words(found)
