import socket
import stat

import pytest

from cnflow.config.worker_pool import PoolServer
from cnflow.errors import ConfigurationError
from cnflow.model.pool_files import PoolAddress, PoolDirectory
from cnflow.worker_pool.folder import ServerFolder, pool_addresses

TWO = PoolServer(pools=[{"name": "a", "clients_port": 4321}, {"name": "b", "image": "x:1"}])


def test_port_of_the_server_before_is_used_again():
    before = PoolDirectory(pools=(PoolAddress(name="b", clients_port=free_port(), server_key="S"),))
    first, second = pool_addresses(TWO, "S", before)
    assert first.clients_port == 4321
    assert second == PoolAddress(name="b", image="x:1", clients_port=before.pools[0].clients_port, server_key="S")


def test_port_that_another_program_took_meanwhile_is_replaced():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = PoolDirectory(pools=(PoolAddress(name="b", clients_port=port, server_key="S"),))
        assert pool_addresses(TWO, "S", before)[1].clients_port not in {port, 4321, 0}


def test_address_for_drivers_is_that_of_the_settings_unless_it_is_every_address():
    server = PoolServer(listen="0.0.0.0", pools=[{"name": "a"}, {"name": "b", "address": "pool.example"}])
    assert [pool.host for pool in pool_addresses(server, "S", PoolDirectory())] == ["127.0.0.1", "pool.example"]
    assert pool_addresses(PoolServer(listen="127.0.0.1"), "S", PoolDirectory())[0].host == "127.0.0.1"


def test_address_that_is_not_this_machines_is_refused():
    with pytest.raises(ConfigurationError, match=r"No TCP port is free at '192\.0\.2\.1'"):
        pool_addresses(PoolServer(listen="192.0.2.1"), "S", PoolDirectory())


def test_directory_is_read_as_it_was_written_and_a_damaged_one_is_none(tmp_path):
    folder = ServerFolder(tmp_path)
    directory = PoolDirectory(pools=(PoolAddress(name="b", clients_port=7, server_key="S"),))
    folder.write_directory(directory)
    assert folder.read_directory() == directory
    folder.directory_file.write_text("{")
    assert folder.read_directory() == PoolDirectory()


def test_question_to_a_folder_without_a_server_names_the_command_that_starts_one(tmp_path):
    with pytest.raises(ConfigurationError, match=r"No pool server runs in .*cnflow pool start"):
        ServerFolder(tmp_path).require({"ask": "status"})


def free_port():
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return end.getsockname()[1]


@pytest.mark.parametrize("name", ["", "clients"])
def test_folder_that_others_may_write_to_is_theirs_no_more(tmp_path, name, caplog):
    folder = ServerFolder(tmp_path / "pool")
    folder.make()
    assert stat.S_IMODE(folder.path.stat().st_mode) == stat.S_IMODE(folder.clients.stat().st_mode) == 0o700
    (folder.path / name).chmod(0o777)
    folder.make()
    assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o755
    assert "could be written to by other users" in caplog.text
