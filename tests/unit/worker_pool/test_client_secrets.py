"""Keys of a release's clients, when one half of a key was left by a command that did not end."""

import base64

import pytest

from cnflow.errors import ConfigurationError
from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.model.pool_files import DIRECTORY_FILE, ClientKey, PoolAddress, PoolDirectory
from cnflow.worker_pool.deployments import client_secrets

ADDRESS = "kubernetes://team/demo"
POOLS = PoolDirectory(pools=(PoolAddress(name="main", clients_port=7, server_key="S"),))


class Release:
    """The objects of one release, as the API server keeps them."""

    def __init__(self):
        self.maps = {
            "demo-clients": {"metadata": {"uid": "u1"}, "data": {}},
            "demo-pools": {"data": {DIRECTORY_FILE: POOLS.to_json().decode()}},
        }
        self.secrets = {}
        self.takes_patches = True

    def get(self, path):
        return self.maps.get(path.rpartition("/")[2])

    def request(self, method, path, *, body=None, query=None, content_type=""):
        name = path.rpartition("/")[2]
        if method == "PATCH":
            if not self.takes_patches:
                raise ClusterError("no answer")
            self.maps[name]["data"].update(body["data"])
        elif method == "DELETE":
            del self.secrets[name]
        elif body["metadata"]["name"] in self.secrets:
            raise ApiError("https://one", 409, "AlreadyExists", "exists")
        else:
            self.secrets[body["metadata"]["name"]] = body

    def close(self):
        pass


@pytest.fixture
def release(monkeypatch):
    made = Release()
    monkeypatch.setattr(client_secrets.Cluster, "connect", lambda address: made)
    return made


def test_key_whose_public_half_was_not_written_is_issued_anew(release):
    release.takes_patches = False
    with pytest.raises(ClusterError):
        client_secrets.issue(ADDRESS, "ann")
    release.takes_patches = True
    key = client_secrets.issue(ADDRESS, "ann")
    (secret,) = release.secrets.values()
    assert ClientKey.from_json(base64.b64decode(secret["data"]["key.json"])) == key
    assert release.maps["demo-clients"]["data"] == {"ann.key": key.public}
    assert key.secret not in str(release.maps)


def test_key_is_issued_once_the_server_has_written_its_pools(release, monkeypatch, caplog):
    written = release.maps["demo-pools"].pop("data")
    monkeypatch.setattr(client_secrets.time, "sleep", lambda _: release.maps["demo-pools"].update(data=written))
    client_secrets.issue(ADDRESS, "ann")
    assert list(release.secrets) == ["demo-client-ann"]
    assert caplog.messages == [f"waiting for the server of {ADDRESS} to start"]


def test_server_that_never_writes_its_pools_is_named(release, monkeypatch):
    del release.maps["demo-pools"]["data"]
    monkeypatch.setattr(client_secrets, "START_TIMEOUT", 0)
    with pytest.raises(ConfigurationError, match="kubectl logs deployment/demo-server -n team"):
        client_secrets.issue(ADDRESS, "ann")
    assert not release.secrets
