"""An interchange in a container, reached through ``docker exec -i``, with managers on this machine."""

import os
import signal

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.capsule import capsule_folder
from cnflow.config import HighThroughputExecutor, LocalProvider

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@python_app
def double(number, seconds=0.0):
    import time

    time.sleep(seconds)
    return 2 * number


@pytest.fixture
def container(engine, image_base, found_image, capsule_cache):
    """Container with a capsule for its Python in /capsule."""
    capsule = capsule_folder(found_image(image_base).kind, capsule_cache)
    made = engine.containers.run(
        image_base, ["sleep", "600"], detach=True, init=True, volumes={str(capsule): {"bind": "/capsule", "mode": "ro"}}
    )
    yield made
    made.remove(force=True)


def test_interchange_in_a_container_outlives_its_connection(container, tmp_path, until):
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    main = "/capsule/cnflow/interchange/__main__.py"
    executor = HighThroughputExecutor(
        provider=LocalProvider(),
        max_workers=1,
        address=network["IPAddress"],
        interchange_command=["docker", "exec", "-i", container.id, "python3", main, "--attach"],
    )
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))) as dfk:
        assert double(1).result(60) == 2
        futures = [double(n, 0.3) for n in range(5)]
        os.kill(dfk.executors["htex"]._client._connection._process.pid, signal.SIGKILL)
        assert [future.result(60) for future in futures] == [0, 2, 4, 6, 8]
    # It closes its connection before its own end.
    until(lambda: not [words for *_, words in container.top()["Processes"] if "interchange" in words], 5)
