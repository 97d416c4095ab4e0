"""Local packages in containers: they win over the version that the image has, and bring their data files."""

import io
import uuid

import pytest

import cnflow
from cnflow import Config, predict_app
from cnflow.config import DockerProvider, HighThroughputExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

MODULE = """
from importlib import resources

def predict(rows):
    return [resources.files(__package__).joinpath("word.txt").read_text()] * len(rows)
"""


@pytest.fixture
def image(engine, image_base):
    """An image with an older version of the package."""
    tag = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"
    dockerfile = (
        f"FROM {image_base}\nRUN mkdir -p /srv/speaks && echo 'def predict(rows): return [\"old\"] * len(rows)' "
        "> /srv/speaks/__init__.py\nENV PYTHONPATH=/srv\n"
    )
    engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    yield tag
    engine.images.remove(tag, force=True)


def test_local_package_wins_over_the_version_in_the_image_where_no_folder_is_mounted(image, tmp_path):
    package = tmp_path / "speaks"
    package.mkdir()
    (package / "__init__.py").write_text(MODULE)
    (package / "word.txt").write_text("new")
    executors = [
        HighThroughputExecutor(
            label=label,
            image=image,
            provider=DockerProvider(mount_folders=False),
            max_workers=1,
            local_packages=packages,
        )
        for label, packages in (("plain", []), ("local", [str(package)]))
    ]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path / "runs"))):
        plain = predict_app(image=image, module="speaks", executors="plain")([1])
        local = predict_app(image=image, module="speaks", executors="local")([1, 2])
        assert (plain.result(120), local.result(120)) == (["old"], ["new", "new"])
