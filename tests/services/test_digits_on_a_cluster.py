"""The digits demo in jobs of two nodes of Slurm, in containers of Apptainer: from the login node, and from a laptop."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnflow import Config
from cnflow.channels import LocalChannel, SSHChannel
from cnflow.config.dump import to_toml
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider, SlurmProvider
from cnflow.runtimes import ApptainerRuntime
from tests.conftest import skip_or_fail, slurm_conf
from tests.services.laptop import Laptop

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slurm,
    pytest.mark.apptainer,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("digits on a cluster"),
]

DEMO = Path(__file__).parents[2] / "examples" / "digits.py"
IMAGES = ["digits-train:0.1", "digits-predict:0.1"]


@pytest.fixture(autouse=True)
def _images(engine):
    """The demo's images, and the queue of the tests."""
    for name in IMAGES:
        if not engine.images.list(name):
            skip_or_fail("docker", f"No image {name}. Run: make images")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Folder of the site's images, which the first test brings there: half a gigabyte."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def write(tmp_path, cache, monkeypatch):
    """Writes the demo's configuration for a channel; returns its path."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))

    def make(channel, **options):
        cluster = SlurmProvider(
            channel=channel,
            site_dir=str(tmp_path / "site"),
            image_cache_dir=str(cache),
            exclusive=False,
            walltime=900,
            nodes_per_block=2,
            runtime=ApptainerRuntime(),
            poll_period=1.0,
        )
        executors = [
            HighThroughputExecutor(label="bare", provider=LocalProvider(), max_workers=1),
            HighThroughputExecutor(label="cluster", provider=cluster, max_workers=1, **options),
        ]
        file = tmp_path / "cluster.toml"
        file.write_text(to_toml(Config(executors=executors)))
        return str(file)

    return make


def accuracy_in(output):
    return float(re.search(r"Mean accuracy (\d\.\d+)", output)[1])


@pytest.mark.long
def test_digits_from_the_login_node(write, tmp_path):
    argv = [sys.executable, str(DEMO), write(LocalChannel())]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert accuracy_in(done.stdout) > 0.95
    assert done.stdout.count("digits-predict:0.1") == 5


@pytest.mark.long
@pytest.mark.sshd
@pytest.mark.root
def test_digits_from_a_laptop_whose_ssh_is_killed(write, tmp_path, until):
    laptop = Laptop(tmp_path)
    try:
        channel = SSHChannel(**{**laptop.channel(SLURM_CONF=os.environ["SLURM_CONF"]), "kind": "ssh"})
        config = write(channel, heartbeat_period=1, heartbeat_threshold=10)
        with laptop.run([sys.executable, str(DEMO), config], stderr=subprocess.STDOUT) as driver:
            until(lambda: len(laptop.interchanges()) == 2 or driver.poll() is not None, 400)
            for _ in range(4):
                laptop.cut()
                time.sleep(1)
            output, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, output
        assert accuracy_in(output) > 0.95
        until(lambda: not laptop.interchanges(), 60)
    finally:
        laptop.close()
