"""Files over the connection of the tasks, of several drivers: of one pool, or one after the other's death."""

import os
import subprocess
import sys

import pytest

from tests.standing_pool import StandingPool

pytestmark = pytest.mark.timeout(180)

SCRIPT = """
import os, sys
from pathlib import Path
import cnflow
from cnflow import Config, File, python_app
from cnflow.config.existing_pool import ExistingPool
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from cnflow.staging import BuiltInStaging

@python_app
def turned(number, path, home, outputs=()):
    import time
    with open(f"{home}/began", "a") as file:
        file.write(f"{number}\\n")
    time.sleep(0.3)
    with open(path, "rb") as source, open(outputs[0], "wb") as target:
        target.write(source.read()[::-1])

name, grace, provider, adopt = sys.argv[1:]
options = {"heartbeat_period": 0.5, "heartbeat_threshold": 2, "storage_access": [BuiltInStaging()]}
if provider:
    options["provider"] = ExistingPool(provider, key=f"{name}.key.json")
else:
    options.update(provider=LocalProvider(init_blocks=1, max_blocks=1), max_workers=2, cores_per_worker=0.1, prefetch=0)
executor = HighThroughputExecutor(**options)
config = Config(executors=[executor], adoptable_for=float(grace), run_dir=f"runs-{name}")
with cnflow.load(config, adopt=adopt or None) as dfk:
    futures = [
        turned(number, File(f"in{number % 2}"), os.getcwd(), outputs=[File(f"{name}/out{number}")])
        for number in range(6)
    ]
    print(dfk.run_dir, flush=True)
    for number, future in enumerate(futures):
        future.result()
        assert Path(f"{name}/out{number}").read_bytes() == Path(f"in{number % 2}").read_bytes()[::-1]
        print("done", number, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Function that starts a driver."""
    (tmp_path / "script.py").write_text(SCRIPT)
    for number in range(2):
        (tmp_path / f"in{number}").write_bytes(os.urandom(3_000_000))
    drivers = []

    def start(name, grace=0, provider="", adopt=""):
        words = [sys.executable, "script.py", name, str(grace), provider, adopt]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        driver = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()
        driver.stdout.close()


def test_drivers_of_one_pool_get_their_own_files(start, tmp_path):
    with StandingPool(tmp_path) as pool:
        for name in ("ann", "bob"):
            pool.key(name)
        drivers = [start(name, provider=pool.address) for name in ("ann", "bob")]
        outputs = [driver.communicate(timeout=90)[0] for driver in drivers]
        assert [driver.returncode for driver in drivers] == [0, 0]
        assert all(output.endswith("done 5\n") for output in outputs)


def test_driver_that_takes_a_run_over_gets_the_files_of_tasks_that_were_running(start, tmp_path):
    first = start("ann", grace=60)
    run = first.stdout.readline().strip()
    assert first.stdout.readline() == "done 0\n"
    first.kill()
    first.communicate()
    began = (tmp_path / "began").read_text().split()
    second = start("ann", grace=60, adopt=run)
    output, _ = second.communicate(timeout=90)
    assert second.returncode == 0
    assert output.endswith("done 5\n")
    again = (tmp_path / "began").read_text().split()[len(began) :]
    assert len(set(again)) == len(again)
    assert set(began) - set(again), "what was running has run again"
