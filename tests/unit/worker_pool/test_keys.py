import json
import stat

import pytest

from cnflow.errors import ConfigurationError
from cnflow.model.pool_files import ClientKey, PoolAddress
from cnflow.worker_pool import keys

POOLS = [PoolAddress(name="main", image="a:1", clients_port=7, server_key="S")]


def test_server_keys_are_drawn_once(tmp_path):
    first = keys.server_keys(tmp_path)
    assert keys.server_keys(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600


def test_damaged_file_of_server_keys_is_named(tmp_path):
    (tmp_path / "server.key").write_text("x")
    with pytest.raises(ConfigurationError, match=r"server\.key holds no keys"):
        keys.server_keys(tmp_path)


def test_issued_key_leaves_the_public_half_alone_at_the_server(tmp_path):
    key = keys.issue(tmp_path, "alice", "S", POOLS)
    assert keys.public_keys(tmp_path) == {"alice": key.public}
    assert key.secret not in "".join(file.read_text() for file in tmp_path.iterdir())
    assert ClientKey.from_json(key.to_json()) == key


def test_key_file_has_the_documented_content(tmp_path):
    key = keys.issue(tmp_path, "alice", "S", POOLS)
    content = json.loads(key.to_json())
    assert content["name"] == "alice"
    assert content["server_key"] == "S"
    assert content["pools"] == [
        {"name": "main", "image": "a:1", "host": "127.0.0.1", "clients_port": 7, "server_key": "S"}
    ]


def test_second_key_of_a_client_is_refused_until_the_first_is_revoked(tmp_path):
    keys.issue(tmp_path, "alice", "S", POOLS)
    with pytest.raises(ConfigurationError, match="'alice' has a key already"):
        keys.issue(tmp_path, "alice", "S", POOLS)
    keys.revoke(tmp_path, "alice")
    keys.issue(tmp_path, "alice", "S", POOLS)


def test_revoking_an_unknown_client_names_the_known_ones(tmp_path):
    keys.issue(tmp_path, "alice", "S", POOLS)
    with pytest.raises(ConfigurationError, match=r"No client is called 'alcie'\. Clients with a key: alice"):
        keys.revoke(tmp_path, "alcie")


@pytest.mark.parametrize("name", ["", "../x", "Alice", "a b", "-a", "a/b", "a" * 64, ".key"])
def test_name_of_a_client_that_names_no_object_is_refused(tmp_path, name):
    with pytest.raises(ConfigurationError, match="cannot be called"):
        keys.issue(tmp_path, name, "S", POOLS)
    assert list(tmp_path.iterdir()) == []
