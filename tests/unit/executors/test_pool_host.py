"""Way of an executor to its standing pool, found again for each connection."""

from pathlib import Path

import msgspec
import pytest

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.executors.high_throughput import pool_host
from cnflow.model.image import NO_IMAGE
from cnflow.model.pool_settings import ClientRequest


class PoolOfTest:
    """Offers a pool, whose access may fail."""

    error = None

    def pools(self):
        return []

    def access(self, image):
        del image
        if self.error is not None:
            raise self.error
        return ClientRequest(session="", endpoint="tcp://pool:1", server_key="s", client_public="p", client_secret="x")


@pytest.fixture
def provider():
    return PoolOfTest()


@pytest.fixture
def host(monkeypatch, provider):
    """A host that returns what it would send to a bridge."""
    monkeypatch.setattr(pool_host, "InterchangeProcess", lambda argv, line, *_, **__: msgspec.json.decode(line))
    made = pool_host.PoolHost("tcp://pool:1", NO_IMAGE, 60.0, Path("interchange.log"))
    made.connect(provider)
    return made


def test_pool_is_tried_with_the_key_before_when_that_is_not_published_any_more(host, provider, caplog):
    provider.error = BlockRejectedError("there is no Secret 'demo-client-ann'")
    request = host.attach("07")
    assert (request["session"], request["client_secret"]) == ("07", "x")
    assert "there is no Secret 'demo-client-ann'" in caplog.text


def test_server_that_is_not_reached_is_asked_again_later(host, provider):
    provider.error = BlockError("no answer")
    with pytest.raises(ConnectionError, match="no answer"):
        host.attach("07")
