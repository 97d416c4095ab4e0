"""``cnflow serve --image``, and its commands, while clients ask without a pause: versions are images of Docker."""

import io
import subprocess
import uuid

import pytest

from tests.served import Load, ServeCommand
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.serving, pytest.mark.timeout(240)]

FACTOR = """
def predict(rows):
    return [{factor} * row for row in rows]
"""


@pytest.fixture
def images(engine, image_base):
    """Two versions of an image whose module multiplies by 2, by 3; and one without the module."""
    name = f"cnflow-test-{uuid.uuid4().hex[:8]}"
    for tag, factor in (("1", 2), ("2", 3), ("empty", 0)):
        lines = FACTOR.format(factor=factor).encode().hex()
        module = "factor" if factor else "other"
        write = f"import pathlib; pathlib.Path('/srv/{module}.py').write_bytes(bytes.fromhex('{lines}'))"
        dockerfile = f'FROM {image_base}\nRUN python3 -c "{write}"\nENV PYTHONPATH=/srv\n'
        engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=f"{name}:{tag}", rm=True, forcerm=True)
    yield name
    for tag in ("1", "2", "empty"):
        engine.images.remove(f"{name}:{tag}", force=True)


@pytest.fixture
def server(images, tmp_path):
    made = ServeCommand(tmp_path, "--image", f"{images}:1", "--module", "factor")
    yield made
    made.close()


def states(server):
    return {each["image"].rpartition(":")[2]: each["state"] for each in server.status()["models"][0]["versions"]}


def test_no_request_fails_while_images_are_rolled_forward_and_back(server, images):
    wait_until(lambda: states(server)["1"] == "ready", 90)

    def is_right(row, result):
        return result in {2 * row, 3 * row}

    with Load(server.url, "factor", is_right, rate=20.0, connections=4) as load:
        assert server.command("roll", "factor", f"{images}:2").returncode == 0
        wait_until(lambda: states(server).get("2") == "ready", 90)
        load.more(20)
        assert server.ask("factor", [5]) == [15]
        [new] = [each for each in server.status()["models"][0]["versions"] if each["weight"]]
        assert new["version"] == new["digest"][:12]

        refused = server.command("roll", "factor", f"{images}:empty")
        assert (refused.returncode, "set PYTHONPATH there" in refused.stderr) == (2, True)
        wait_until(lambda: states(server).get("empty", "failed") == "failed", 90)
        assert server.ask("factor", [5]) == [15], "calls stay where they are"
        assert "factor" in server.command("status").stdout

        assert server.command("back", "factor").returncode == 0
        wait_until(lambda: server.ask("factor", [5]) == [10], 30)
        load.more(20)
        figures = load.finish()
    assert not figures.failures
    assert "has ended" in server.close()
    listed = ["docker", "ps", "--quiet", "--filter", f"ancestor={images}:1", "--filter", f"ancestor={images}:2"]
    wait_until(lambda: not subprocess.run(listed, check=True, capture_output=True).stdout, 30)
