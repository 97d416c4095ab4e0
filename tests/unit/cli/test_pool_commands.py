"""Commands of ``cnflow pool``: keys of drivers, and addresses that are no folder."""

import pytest

from cnflow.model.pool_files import PoolAddress, PoolDirectory
from cnflow.worker_pool import keys
from cnflow.worker_pool.folder import ServerFolder
from tests.hidden_modules import hidden_modules


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of a server that was started."""
    monkeypatch.chdir(tmp_path)
    made = ServerFolder(tmp_path / "pool")
    made.make()
    made.write_directory(PoolDirectory(pools=(PoolAddress(name="main", clients_port=7, server_key="S"),)))
    return made


def test_key_whose_file_is_there_already_is_not_issued(folder, run_cnflow):
    folder.path.with_name("ada.json").write_text("")
    code, _, words = run_cnflow("pool", "key", "ada", "pool")
    assert code == 2
    assert "ada.json exists. Remove it if its key is revoked, or name another file by --output." in words
    assert keys.public_keys(folder.clients) == {}
    assert run_cnflow("pool", "key", "ada", "pool", "--output", "other.json")[0] == 0


def test_second_key_is_refused_with_the_command_that_revokes_the_first(folder, run_cnflow):
    assert run_cnflow("pool", "key", "ada", "pool", "--output", "-")[0] == 0
    code, _, words = run_cnflow("pool", "key", "ada", "pool")
    assert code == 2
    assert f"'cnflow pool key ada {folder.path} --revoke'" in " ".join(words.split())
    assert run_cnflow("pool", "key", "ada", str(folder.path), "--revoke")[0] == 0
    assert keys.public_keys(folder.clients) == {}


def test_key_whose_file_has_no_folder_is_not_issued(folder, run_cnflow):
    code, _, words = run_cnflow("pool", "key", "ada", "pool", "--output", "missing/ada.json")
    assert code == 2
    assert "The folder missing does not exist." in words
    assert keys.public_keys(folder.clients) == {}


def test_release_in_place_of_a_folder_is_refused_with_the_command_for_it(run_cnflow):
    code, _, words = run_cnflow("pool", "status", "kubernetes://team/demo")
    assert code == 2
    assert "kubectl exec deploy/RELEASE-server" in words


@pytest.mark.parametrize("options", [[], ["--revoke"]])
def test_key_of_a_release_without_the_client_of_kubernetes_names_the_extra(options, run_cnflow):
    with hidden_modules("cnflow.kubernetes_api", "cnflow.worker_pool.dep", missing=["kubernetes", "urllib3"]):
        code, _, words = run_cnflow("pool", "key", "ada", "kubernetes://science/demo", *options)
    assert code == 2
    assert "Run: pip install 'cnflow[kubernetes]'" in " ".join(words.split())
