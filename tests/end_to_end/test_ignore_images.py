"""`Config(ignore_images=True)`: scripts with images run on a machine without a container engine."""

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import DockerProvider


@python_app(image="app1:0.1")
def in_an_image(number):
    return number + 1


@python_app(executors=["boxes"])
def in_an_executor(number):
    return number + 2


def test_apps_with_images_and_docker_executors_run_as_processes(tmp_path):
    boxes = HighThroughputExecutor(label="boxes", provider=DockerProvider(), max_workers=1)
    with cnflow.load(Config(executors=[boxes], ignore_images=True, run_dir=str(tmp_path))):
        assert in_an_executor(in_an_image(1)).result(30) == 4


def test_image_of_an_executor_is_ignored(tmp_path):
    fixed = HighThroughputExecutor(label="boxes", image="app1:0.1", max_workers=1)
    with cnflow.load(Config(executors=[fixed], ignore_images=True, run_dir=str(tmp_path))):
        assert in_an_executor(1).result(30) == 3
