"""An executor tells what its image stands for, whatever becomes of it."""

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider, ThreadPoolExecutor
from cnflow.errors import ImageNotFoundError
from cnflow.executors.high_throughput import make_backend
from cnflow.executors.threads.executor import ThreadPoolBackend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.providers.local.provider import LocalBackend


class Images(LocalBackend):
    """Knows one image, which needs no container."""

    def prepare(self, image):
        if image != "app:1":
            raise ImageNotFoundError(f"no image {image}")
        return "sha256:1"


@pytest.fixture
def executor(tmp_path):
    made = []

    def make(image, provider=Images):
        settings = HighThroughputExecutor(image=image, max_workers=1)
        live = make_backend(settings, RunContext(RunId("test"), tmp_path), lambda: provider(LocalProvider()))
        made.append(live)
        return live

    yield make
    for live in made:
        live.shutdown()


def test_the_digest_is_the_providers(executor):
    live = executor("app:1")
    assert not live.digest.done()
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == "sha256:1"


def test_on_the_bare_node_there_is_none(executor):
    live = executor("", LocalBackend)
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""
    assert ThreadPoolBackend(ThreadPoolExecutor()).digest.result(0) == ""


def test_an_image_that_cannot_be_had_has_none(executor):
    live = executor("app:2")
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""


def test_a_provider_that_fails_in_another_way_has_none(executor, caplog):
    def broken(settings):
        raise RuntimeError("no engine")

    live = executor("app:1", broken)
    live.start(lambda outcomes: None)
    assert live.digest.result(20) == ""


def test_an_executor_that_ends_before_it_is_known_has_none(executor):
    live = executor("app:1")
    live.shutdown()
    assert live.digest.result(0) == ""


def test_nobody_can_cancel_it(executor):
    assert not executor("app:1").digest.cancel()
