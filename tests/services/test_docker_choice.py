"""Choice of executors for apps with and without an image, on a real engine."""

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import ConfigurationError

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


def add(a, b):
    return a + b


def test_app_without_an_image_is_refused_before_and_after_one_with_an_image(image_base, tmp_path):
    template = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
    bare, inside = python_app(add), python_app(add, image=image_base)
    with cnflow.load(Config(executors=[template], run_dir=str(tmp_path))) as dfk:
        with pytest.raises(ConfigurationError) as before:
            bare(1, 2)
        task = inside(1, 2)
        assert f"was made from 'htex' for image {image_base!r}" in dfk.explain(task.tid)
        assert task.result(120) == 3
        with pytest.raises(ConfigurationError) as after:
            bare(1, 2)
    assert str(before.value) == str(after.value)
    assert "'htex' runs without one" in str(after.value)
