"""Results are remembered for an image's content, not for its name: with real images that are built again."""

import io
import sys
import uuid

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.dataflow.memo.checkpoint_paths import get_last_checkpoint
from cnflow.errors import ImageNotFoundError

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def build(engine, image_base, python_of):
    """Builds an image that says *text*: ``build(text)`` gives its name, each time the same one."""
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")
    tag = f"cnflow-test-{uuid.uuid4().hex[:8]}:1"

    def make(text):
        dockerfile = f"FROM {image_base}\nRUN echo {text} > /said\n"
        engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
        return tag

    yield make
    if engine.images.list(name=tag):
        engine.images.remove(tag, force=True)


def said():
    import random
    from pathlib import Path

    return Path("/said").read_text().strip(), random.random()


@pytest.fixture
def ask(tmp_path):
    """Runs the app in a run of its own, which knows what the one before it did."""
    runs = tmp_path / "runs"

    def run(image):
        known = get_last_checkpoint(str(runs)) if runs.exists() else None
        executor = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
        config = Config(
            executors=[executor], run_dir=str(runs), checkpoint_mode="task_exit", checkpoint_files=known or None
        )
        with cnflow.load(config):
            return python_app(said, image=image, cache=True)().result(timeout=90)

    return run


def test_a_checkpoint_is_used_for_the_same_image_and_not_for_another_of_that_name(build, ask, engine):
    image = build("one")
    first = ask(image)
    assert first[0] == "one"
    assert ask(image) == first, "the next run knows it"
    image = build("two")
    assert ask(image)[0] == "two", "the name is the same, the image is another"


def test_another_name_of_the_same_image_makes_no_difference(build, ask, engine):
    image = build("one")
    other = f"{image}-too"
    engine.images.get(image).tag(other)
    try:
        assert ask(other) == ask(image)
    finally:
        engine.images.remove(other, force=True)


def test_a_cached_app_with_a_missing_image_fails_with_image_not_found(tmp_path):
    executor = HighThroughputExecutor(provider=DockerProvider(pull="never"), max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        error = python_app(said, image="cnflow-no-such:1", cache=True)().exception(timeout=60)
    assert isinstance(error, ImageNotFoundError)
