import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnflow.capsule import MARKER_NAME, Kind, build, tag_of
from cnflow.errors import CapsuleError

KIND = Kind("3.9", "x86_64", "glibc")


@pytest.fixture
def gathered(monkeypatch):
    """Stands in for pip; counts how often it is called."""
    calls = []

    def gather(kind, into):
        calls.append(kind)
        (into / "zmq").mkdir()
        (into / "zmq" / "__init__.py").write_text("")

    monkeypatch.setattr(build, "gather", gather)
    return calls


def test_a_capsule_is_built_once(gathered, tmp_path):
    first, second = build.capsule_tar(KIND, tmp_path), build.capsule_tar(KIND, tmp_path)
    assert first == second
    assert gathered == [KIND]


def test_a_tar_holds_code_packages_and_the_marker_all_of_root(gathered, tmp_path):
    assert not gathered
    with tarfile.open(build.capsule_tar(KIND, tmp_path)) as tar:
        members = {member.name: member for member in tar}
        marker = json.load(tar.extractfile(f"./{MARKER_NAME}"))
    assert {"./cnflow/__init__.py", "./cnflow/model/manager_settings.py", "./zmq/__init__.py"} <= members.keys()
    assert marker == {"tag": tag_of(KIND)}
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert members["."].mode == 0o755
    assert members["./cnflow/__init__.py"].mode == 0o644


@pytest.mark.usefixtures("gathered")
def test_two_that_build_at_once_get_the_same_whole_capsule_and_leave_no_drafts(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        tars = set(pool.map(lambda _: build.capsule_tar(KIND, tmp_path), range(8)))
    assert len(tars) == 1
    assert not list(tmp_path.rglob(".*"))


def test_a_failure_leaves_nothing_under_the_capsules_name(monkeypatch, tmp_path):
    def gather(_kind, into):
        (into / "half").write_text("")
        raise CapsuleError("no network")

    monkeypatch.setattr(build, "gather", gather)
    with pytest.raises(CapsuleError, match="no network"):
        build.unpacked(KIND, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("gathered")
def test_a_cache_that_cannot_be_written_is_said_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CapsuleError, match="XDG_CACHE_HOME"):
        build.unpacked(KIND, tmp_path / "file")


def test_the_cache_follows_the_users_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.default_cache_dir() == tmp_path / "cnflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.default_cache_dir().parts[-2:] == (".cache", "cnflow")
