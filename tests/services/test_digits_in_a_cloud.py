"""The digits demo from a laptop with only ssh to machines of a cloud: two local workers, four machines with images."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
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
DOLLARS = 0.10


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


def cloud(blocks, **options):
    return EC2Provider(
        region=REGION,
        instance_types=["c5.large"],
        interchange_type="t3.small",
        init_blocks=0,
        max_blocks=blocks,
        startup_time=20,
        shutdown_time=5,
        **options,
    )


class Meter:
    """Dollars of the machines that the cloud has, looked at twice a second; no part of cnflow."""

    def __init__(self, ec2, usd_per_hour):
        self.usd = 0.0
        self._ec2, self._price = ec2, usd_per_hour / 3600
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        last = time.monotonic()
        while not self._is_over.wait(0.5):
            living = len(self._ec2.machines("pending", "running"))
            now = time.monotonic()
            self.usd, last = self.usd + living * (now - last) * self._price, now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()


def accuracy_in(output):
    return float(re.search(r"Mean accuracy (\d\.\d+)", output)[1])


def test_laptop_reaches_ssh_and_the_interface_of_the_cloud_alone(scene):
    assert scene.can_reach(scene.api_port)
    with socket.create_server(("", 0)) as server:
        assert not scene.can_reach(server.getsockname()[1])


def test_digits_from_a_laptop_within_a_budget_of_ten_cents(scene, tmp_path):
    price = 0.10
    executors = [
        HighThroughputExecutor(label="bare", provider=LocalProvider(), max_workers=2),
        HighThroughputExecutor(label="cloud", provider=cloud(2), max_workers=1),  # one for each image
    ]
    file = tmp_path / "cloud.toml"
    file.write_text(to_toml(Config(executors=executors, budget=Budget(usd=DOLLARS, drain_time=10))))
    argv = [sys.executable, str(DEMO), str(file)]
    with (
        Meter(scene.ec2, price) as meter,
        scene.run(argv, stderr=subprocess.STDOUT, **write_prices(tmp_path, price)) as driver,
    ):
        output, _ = driver.communicate(timeout=800)
        scene.ec2.until(lambda: not scene.ec2.machines("pending", "running", "shutting-down"), 90)
    assert driver.returncode == 0, output
    assert accuracy_in(output) > 0.95
    assert sum(one["tags"]["cnflow-role"] == "block" for one in scene.ec2.machines()) >= 3
    assert 0 < meter.usd <= DOLLARS


ENDLESS = """\
import sys
import cnflow
from cnflow import python_app
from cnflow.errors import BudgetError

@python_app(executors=["cloud"])
def work(seconds):
    import time
    time.sleep(seconds)
    return seconds

with cnflow.load(sys.argv[1]):
    futures = [work(2) for _ in range(1000)]
    errors = [future.exception() for future in futures]
print(sum(error is None for error in errors), sum(isinstance(error, BudgetError) for error in errors))
"""


@pytest.mark.long
def test_budget_of_ten_cents_ends_the_machines_of_a_run_that_would_cost_more(scene, tmp_path):
    price = 0.50
    executor = HighThroughputExecutor(label="cloud", provider=cloud(4), max_workers=2)
    file = tmp_path / "cloud.toml"
    file.write_text(to_toml(Config(executors=[executor], budget=Budget(usd=DOLLARS, drain_time=5))))
    (scene.folder / "endless.py").write_text(ENDLESS)
    argv = [sys.executable, "endless.py", str(file)]
    with (
        Meter(scene.ec2, price) as meter,
        scene.run(argv, stderr=subprocess.STDOUT, **write_prices(tmp_path, price)) as driver,
    ):
        output, _ = driver.communicate(timeout=800)
        scene.ec2.until(lambda: not scene.ec2.machines("pending", "running", "shutting-down"), 90)
    assert driver.returncode == 0, output
    done, refused = map(int, output.splitlines()[-1].split())
    assert done > 0, output
    assert refused > 0, output
    assert done + refused == 1000
    assert DOLLARS / 4 < meter.usd <= DOLLARS
