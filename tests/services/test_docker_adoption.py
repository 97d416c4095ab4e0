"""Containers of a driver that is killed, taken over by the next one."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.docker

SCRIPT = """\
import os, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import DockerProvider

@python_app
def work(number, seconds):
    import os, socket, time
    with open("/data/began", "a") as file:
        file.write(f"{number} {socket.gethostname()}\\n")
    time.sleep(seconds)
    with open("/data/ended", "a") as file:
        file.write(f"{number}\\n")
    return number * number

image, folder, seconds, *rest = sys.argv[1:]
provider = DockerProvider(
    init_blocks=2, max_blocks=2, mounts={f"{folder}/data": "/data"},
    create={"labels": {"cnflow.test": f"{folder}/runinfo"}}
)
executor = HighThroughputExecutor(
    provider=provider, image=image, max_workers=2, cores_per_worker=0.1, prefetch=0,
    heartbeat_period=0.5, heartbeat_threshold=4,
)
config = Config(executors=[executor], adoptable_for=60, run_dir=f"{folder}/runinfo", initialize_logging=True)
with cnflow.load(config, adopt=rest[0] if rest else None):
    futures = [work(number, float(seconds)) for number in range(6)]
    assert [future.result() for future in futures] == [number * number for number in range(6)]
print("all", flush=True)
"""


@pytest.fixture
def start(tmp_path, image_base, engine):
    """Function that starts a driver; containers that are left go with the test."""
    (tmp_path / "data").mkdir(mode=0o777)
    (tmp_path / "data").chmod(0o777)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = []

    def make(*adopt):
        command = [sys.executable, str(script), image_base, str(tmp_path), "6", *adopt]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.communicate()
    left = engine.containers.list(all=True, filters={"label": f"cnflow.test={tmp_path / 'runinfo'}"})
    for container in left:
        container.remove(force=True)


def lines(file):
    return file.read_text().splitlines() if file.exists() else []


def test_containers_and_their_tasks_are_taken_over_and_end_with_the_run(start, tmp_path, engine, until):
    began, ended = tmp_path / "data/began", tmp_path / "data/ended"
    first = start()
    until(lambda: len(lines(began)) == 4, timeout=60)
    first.kill()
    first.communicate()
    until(lambda: len(lines(ended)) == 4)
    hosts = {line.split()[1] for line in lines(began)}
    second = start(str(tmp_path / "runinfo/000"))
    output, errors = second.communicate(timeout=90)
    assert output == "all\n", errors
    assert sorted(line.split()[0] for line in lines(began)) == list("012345"), "a task ran twice"
    assert {line.split()[1] for line in lines(began)} == hosts, "containers were started anew"
    assert len(hosts) == 2
    assert not os.path.exists(tmp_path / "runinfo/000/ledger")  # noqa: PTH110 - as short
    label = f"cnflow.test={tmp_path / 'runinfo'}"
    until(lambda: not engine.containers.list(all=True, ignore_removed=True, filters={"label": label}))
