"""Digest of an executor's image, as the provider reports it."""

import uuid

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider, ThreadPoolExecutor
from cnflow.errors import ImageNotFoundError
from cnflow.executors.high_throughput import make_backend
from cnflow.executors.threads.executor import ThreadPoolBackend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.providers.local.provider import LocalBackend


class Images(LocalBackend):
    """Backend of a provider with one image, which needs no container."""

    def prepare(self, image):
        if image != "app:1":
            raise ImageNotFoundError(f"no image {image}")
        return "sha256:1"


@pytest.fixture
def executor(tmp_path):
    made = []

    def make(image, provider=Images):
        settings = HighThroughputExecutor(image=image, max_workers=1)
        live = make_backend(
            settings, RunContext(RunId(f"test-{uuid.uuid4().hex[:12]}"), tmp_path), lambda: provider(LocalProvider())
        )
        made.append(live)
        return live

    yield make
    for live in made:
        live.shutdown()


def test_digest_is_that_of_the_provider(executor):
    live = executor("app:1")
    assert not live.digest.done()
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == "sha256:1"


def test_executor_without_image_has_no_digest(executor):
    live = executor("", LocalBackend)
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""
    assert ThreadPoolBackend(ThreadPoolExecutor()).digest.result(0) == ""


def test_unavailable_image_has_no_digest(executor):
    live = executor("app:2")
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""


def test_failing_provider_gives_no_digest(executor, caplog):
    def broken(settings):
        raise RuntimeError("no engine")

    live = executor("app:1", broken)
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""


def test_executor_that_ends_first_has_no_digest(executor):
    live = executor("app:1")
    live.shutdown()
    assert live.digest.result(0) == ""


def test_future_of_the_digest_cannot_be_cancelled(executor):
    assert not executor("app:1").digest.cancel()
