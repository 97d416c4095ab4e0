"""The folder of a site, through the local channel: real shells and files."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnflow.capsule import CARRIED_PYTHON, carrying_kind, tag_of
from cnflow.channels.local import LocalBackend
from cnflow.config.channels import LocalChannel
from cnflow.errors import BlockRejectedError, ChannelError, ImageUnusableError
from cnflow.sites.folder import SiteFolder


class Elsewhere(LocalBackend):
    """This machine, taken for another one; *name* is the driver's, if there are several."""

    is_local = False

    def __init__(self, name="this machine"):
        super().__init__(LocalChannel())
        self.name = name
        self.sent = 0

    def run(self, argv, *, stdin=b"", timeout=None):
        self.sent += len(stdin)
        return super().run(argv, stdin=stdin, timeout=timeout)


@pytest.fixture
def site(tmp_path):
    return SiteFolder(Elsewhere(), str(tmp_path / "it's a site"))


def test_facts_are_those_of_the_machine_and_the_folder_is_private(site, tmp_path):
    facts = site.facts(["sh", "no-such-program"])
    assert facts.folder == str(tmp_path / "it's a site")
    assert Path(facts.folder).stat().st_mode & 0o777 == 0o700
    assert (facts.machine, facts.home) == (os.uname().machine, os.environ["HOME"])
    assert [Path(path).name for path in facts.found] == ["sh"]
    assert "127.0.0.1" not in facts.addresses
    assert site.facts() is site.facts(["sh"])
    assert {Path(path).name for path in site.facts(["cat"]).found} == {"sh", "cat"}


def test_folder_that_cannot_be_made_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ChannelError, match=r"cannot be made on this machine.*\n.*Correct site_dir="):
        SiteFolder(LocalBackend(LocalChannel()), str(tmp_path / "file" / "x")).facts()


def test_files_are_private_stay_in_the_folder_and_can_be_removed(site):
    path = Path(site.put(b"key", "runs/1/settings.json"))
    assert path.read_bytes() == b"key"
    assert path.stat().st_mode & 0o777 == 0o600
    site.put(b"key", "runs/2/settings.json")
    site.remove("runs/1")
    site.remove("runs/1")
    assert sorted(child.name for child in path.parent.parent.iterdir()) == ["2"]
    for outside in ("..", "/etc/passwd", "x/../..", "."):
        with pytest.raises(ValueError, match="is not in the site's folder"):
            site.remove(outside)


def test_capsule_is_sent_once_and_runs_where_no_python_is(site, tmp_path):
    kind = carrying_kind()
    root = Path(site.capsule(kind))
    done = subprocess.run(
        [
            root / CARRIED_PYTHON,
            "-I",
            "-c",
            f"import sys; sys.path[:0] = [{str(root)!r}]; import zmq, msgspec, cloudpickle; print('ok')",
        ],
        env={},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert root.name == tag_of(kind)
    assert (root / "cnflow/manager/__main__.py").is_file()
    assert (root / CARRIED_PYTHON).stat().st_mode & 0o777 == 0o755
    assert time.time() - (root / CARRIED_PYTHON).stat().st_mtime < 3600
    assert done.stdout == "ok\n", done.stderr
    assert sorted(path.name for path in root.parent.iterdir()) == sorted([f".{root.name}.count", root.name])
    inode = root.stat().st_ino
    assert SiteFolder(site.channel, site.facts().folder).capsule(kind) == str(root)
    assert root.stat().st_ino == inode


def test_capsule_that_has_lost_files_is_sent_again(site):
    root = Path(site.capsule(carrying_kind()))
    lost = root / "cnflow/manager/__main__.py"
    lost.unlink()
    again = SiteFolder(site.channel, site.facts().folder)
    assert again.capsule(carrying_kind()) == str(root)
    assert lost.is_file()


def test_capsule_sent_by_several_drivers_at_once_is_whole(site):
    sites = [SiteFolder(Elsewhere(f"driver {number}"), site.facts().folder) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        roots = set(pool.map(lambda one: one.capsule(carrying_kind()), sites))
    (root,) = map(Path, roots)
    assert (root / CARRIED_PYTHON).is_file()
    assert not list(root.glob(".*"))


def test_capsule_that_parts_of_a_driver_need_at_once_is_sent_once(site, tmp_path):
    SiteFolder(site.channel, str(tmp_path / "alone")).capsule(carrying_kind())
    alone = site.channel.sent
    sites = [SiteFolder(site.channel, site.facts().folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.capsule(carrying_kind()), sites))
    assert site.channel.sent == 2 * alone


def test_bare_node_runs_the_drivers_python_here_and_the_sites_elsewhere(site, tmp_path):
    own = SiteFolder(LocalBackend(LocalChannel()), str(tmp_path / "own")).bare_node()
    assert own.is_own
    assert own.python == sys.executable
    assert not (tmp_path / "own").exists()
    chosen = site.bare_node(sys.executable)
    assert Path(chosen.root, "cnflow/manager/__main__.py").is_file()
    assert not chosen.is_own


def test_python_that_does_not_start_is_refused_with_advice(site, tmp_path):
    with pytest.raises(BlockRejectedError, match="no-python"):
        site.bare_node("/no-python")
    old = tmp_path / "old"
    old.write_text(
        """#!/bin/sh\necho '{"version": "3.6.9", "implementation": "CPython", "machine": "x86_64", "libc": "", """
        """"executable": "/x"}'\n"""
    )
    old.chmod(0o755)
    with pytest.raises(ImageUnusableError, match="too old"):
        site.bare_node(str(old))


@pytest.mark.root
def test_full_file_system_is_an_error_with_advice_and_nothing_of_the_capsule_is_left(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=True)
    try:
        site = SiteFolder(Elsewhere(), str(small / "site"))
        with pytest.raises(ChannelError, match=r"(?s)cannot be unpacked to .*No space left on device.*site_dir="):
            site.capsule(carrying_kind())
        assert list((small / "site/capsules").iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
