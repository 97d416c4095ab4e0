"""The digits demo from a laptop with only ssh to machines of a cloud: two local workers, four machines with images."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow import Budget, Config
from cnflow.config import EC2Provider, HighThroughputExecutor, LocalProvider
from cnflow.config.dump import to_toml
from tests.conftest import skip_or_fail
from tests.services.cloud_scene import CloudScene
from tests.services.ec2_cloud import REGION

pytestmark = [
    pytest.mark.docker,
    pytest.mark.ec2,
    pytest.mark.root,
    pytest.mark.sshd,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("digits in a cloud"),
]

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "digits.py"
IMAGES = ["digits-train:0.1", "digits-predict:0.1"]
CENTS = 0.10


@pytest.fixture(scope="module")
def _images():
    """Machines have the demo's images."""
    for name in IMAGES:
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode:
            skip_or_fail("docker", f"No image {name}. Run: make images")
    subprocess.run([ROOT / "tests/services/machines/load-images", *IMAGES], check=True, capture_output=True)


@pytest.fixture
def scene(tmp_path, _images):
    made = CloudScene(tmp_path)
    yield made
    made.close()


def write_prices(folder, usd_per_hour):
    """Write the laptop's own price table; return the variable that leads to it."""
    file = folder / "settings" / "cnflow" / "prices.json"
    file.parent.mkdir(parents=True)
    kind = [2, 4, 0, "x86_64", {REGION: usd_per_hour}]
    file.write_text(json.dumps({"dated": "2026-01-01", "clouds": {"ec2": {"c5.large": kind, "t3.small": kind}}}))
    return {"XDG_CONFIG_HOME": str(folder / "settings")}


def write_config(folder, **budget):
    cloud = EC2Provider(
        region=REGION,
        instance_types=["c5.large"],
        interchange_type="t3.small",
        init_blocks=0,
        max_blocks=2,
        detached_timeout=30,
    )
    executors = [
        HighThroughputExecutor(label="bare", provider=LocalProvider(), max_workers=2),
        HighThroughputExecutor(label="cloud", provider=cloud, max_workers=1),  # one for each image
    ]
    file = folder / "cloud.toml"
    file.write_text(to_toml(Config(executors=executors, budget=Budget(usd=CENTS, **budget))))
    return str(file)


def accuracy_in(output):
    return float(re.search(r"Mean accuracy (\d\.\d+)", output)[1])


def test_laptop_reaches_ssh_and_the_interface_of_the_cloud_alone(scene):
    assert scene.can_reach(scene.api_port)
    assert not scene.can_reach(scene.api_port + 1)


def test_digits_from_a_laptop_within_a_budget_of_ten_cents(scene, tmp_path):
    variables = write_prices(tmp_path, usd_per_hour=0.20)
    with scene.run(
        [sys.executable, str(DEMO), write_config(tmp_path)], stderr=subprocess.STDOUT, **variables
    ) as driver:
        output, _ = driver.communicate(timeout=800)
    assert driver.returncode == 0, output
    assert accuracy_in(output) > 0.95
    machines = scene.ec2.machines()
    assert sum(one["tags"]["cnflow-role"] == "block" for one in machines) >= 4
    scene.ec2.until(lambda: not scene.ec2.machines("pending", "running", "shutting-down"), 90)
