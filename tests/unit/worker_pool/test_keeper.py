"""The keeper of one pool, and the thread that mirrors the keys of a release."""

import time

import pytest

from cnflow.kubernetes_api.errors import ClusterError
from cnflow.model.pool_files import PoolAddress
from cnflow.worker_pool.deployments import release
from cnflow.worker_pool.keeper import PoolKeeper


def test_pool_that_was_never_started_ends_at_once():
    keeper = PoolKeeper(PoolAddress(name="main", clients_port=1, server_key="S"), make=lambda: pytest.fail("not asked"))
    keeper.order_end()
    keeper.join()


class Clients:
    """Keys of a release, or an error in their place."""

    def __init__(self, keys):
        self.keys = keys

    def client_keys(self):
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


def test_mirror_that_cannot_begin_ends(tmp_path):
    mirror = release.ClientKeysMirror(Clients(ClusterError("no answer")), tmp_path)
    with pytest.raises(ClusterError):
        mirror.start()
    mirror.close()


def test_mirror_goes_on_after_a_key_that_could_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "_PERIOD", 0.01)
    clients, folder = Clients({}), tmp_path / "clients"
    mirror = release.ClientKeysMirror(clients, folder)
    mirror.start()
    clients.keys = {"ann": "k" * 40}  # its folder is not there
    time.sleep(0.1)
    folder.mkdir()
    deadline = time.monotonic() + 10
    while not (folder / "ann.key").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    mirror.close()
