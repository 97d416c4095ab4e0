import pytest

from cnflow import model_app, predict_app
from cnflow.cli.model_server import _has_images
from cnflow.config.serving import ServeConfig, VersionConfig
from cnflow.errors import ConfigurationError
from cnflow.serving.targets import config_of_object
from tests.unit.serving.world import FakeExecutor, World, run


@model_app(image="shop:1.0")
def in_image(rows):
    return rows


@model_app(executors=["gpu"])
def on_gpu(rows):
    return rows


@model_app
def anywhere(rows):
    return rows


@pytest.mark.parametrize(
    ("version", "sent_to"),
    [
        (VersionConfig(app=anywhere), "cpu"),
        (VersionConfig(app=on_gpu), "gpu"),
        (VersionConfig(app=on_gpu, executor="cpu"), "cpu"),
        (VersionConfig(app=in_image), "box"),
        (VersionConfig(app=predict_app(image="shop:1.0", module="shop")), "box"),
        (VersionConfig(app=f"{__name__}:in_image"), "box"),
        (VersionConfig(app=in_image, executor="gpu"), "gpu"),
    ],
)
def test_version_runs_where_its_app_does(version, sent_to):
    @run
    async def story():
        executors = FakeExecutor("cpu"), FakeExecutor("gpu"), FakeExecutor("box", "shop:1.0")
        async with World({"versions": [version]}, executors) as world:
            world.call()
            await world.sent(0 if sent_to != "cpu" else 1)
            assert [name for name, each in world.executors.items() if each.direct.held] == [sent_to]

    story()


@pytest.mark.parametrize("named", [False, True])
def test_label_that_an_image_overrides_is_told(named, caplog):
    app = model_app(image="shop:1.0", executors=["gpu"])(lambda rows: rows)
    version = VersionConfig(app=app, image="shop:1.0" if named else "")
    World({"versions": [version]}, (FakeExecutor("gpu"), FakeExecutor("box", "shop:1.0")))
    assert "image shop:1.0 and executor 'gpu': its image alone decides" in caplog.text


def test_executor_of_an_app_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match="no executor is called 'gpu'"):
        World({"versions": [VersionConfig(app=on_gpu)]})


def test_command_starts_containers_for_an_app_of_an_image():
    assert _has_images(config_of_object(in_image))
    assert not _has_images(config_of_object([on_gpu, anywhere]))
    assert not _has_images(ServeConfig(models=[]))
