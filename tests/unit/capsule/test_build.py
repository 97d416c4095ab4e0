import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnflow.capsule import MARKER_NAME, Kind, build, tag_of
from cnflow.errors import CapsuleError

KIND = Kind("3.9", "x86_64", "glibc")


@pytest.fixture
def collect_calls(monkeypatch):
    """Replace pip by a fake; the value lists its calls."""
    calls = []

    def collect(kind, into):
        calls.append(kind)
        (into / "zmq").mkdir()
        (into / "zmq" / "__init__.py").write_text("")

    monkeypatch.setattr(build, "collect", collect)
    return calls


def test_capsule_is_built_once(collect_calls, tmp_path):
    first, second = build.capsule_tar(KIND, tmp_path), build.capsule_tar(KIND, tmp_path)
    assert first == second
    assert collect_calls == [KIND]


def test_tar_contains_code_packages_and_marker_owned_by_root(collect_calls, tmp_path):
    assert not collect_calls
    with tarfile.open(build.capsule_tar(KIND, tmp_path)) as tar:
        members = {member.name: member for member in tar}
        marker = json.load(tar.extractfile(f"./{MARKER_NAME}"))
    assert {"./cnflow/__init__.py", "./cnflow/model/manager_settings.py", "./zmq/__init__.py"} <= members.keys()
    assert marker == {"tag": tag_of(KIND)}
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert members["."].mode == 0o755
    assert members["./cnflow/__init__.py"].mode == 0o644


@pytest.mark.usefixtures("collect_calls")
def test_concurrent_builds_return_the_same_capsule_and_leave_no_drafts(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        tars = set(pool.map(lambda _: build.capsule_tar(KIND, tmp_path), range(8)))
    assert len(tars) == 1
    assert not list(tmp_path.rglob(".*"))


def test_failed_build_leaves_no_files(monkeypatch, tmp_path):
    def collect(_kind, into):
        (into / "half").write_text("")
        raise CapsuleError("no network")

    monkeypatch.setattr(build, "collect", collect)
    with pytest.raises(CapsuleError, match="no network"):
        build.capsule_folder(KIND, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("collect_calls")
def test_cache_that_cannot_be_written_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CapsuleError, match="XDG_CACHE_HOME"):
        build.capsule_folder(KIND, tmp_path / "file")


def test_cache_folder_follows_xdg_cache_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.default_cache_dir() == tmp_path / "cnflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.default_cache_dir().parts[-2:] == (".cache", "cnflow")


def test_entry_that_has_lost_files_is_made_again(tmp_path, monkeypatch):
    target = tmp_path / "entry"

    def fill(draft):
        for name in ("one", "two"):
            (draft / name).write_text(name)

    build.make_once(target, fill)
    (target / "two").unlink()
    monkeypatch.setattr(build, "_WHOLE", set())
    build.make_once(target, fill)
    assert sorted(path.name for path in target.iterdir()) == ["one", "two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry", "entry.count"]
