"""An interchange at the site of a provider, whose channel leads to this machine: its connection breaks."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

from cnflow.config.channels import LocalChannel
from cnflow.config.interchange_place import SiteAddress
from cnflow.providers import LocalProvider

pytestmark = pytest.mark.timeout(180)


class SiteProvider(LocalProvider):
    """Blocks are processes of this machine, which is a site, too."""

    kind: Literal["local_site"] = "local_site"
    site_dir: str

    def site(self):
        return SiteAddress(LocalChannel(), self.site_dir)


class Site:
    """Processes of an interchange at the site are found by the folder of its sockets."""

    def __init__(self, folder, processes):
        self.folder = folder
        self._processes = processes

    def relays(self):
        return [pid for pid in self._with("--attach") if self._is_here(pid)]

    def interchanges(self):
        return [pid for pid in self._with("--listen") if self._is_here(pid)]

    def _with(self, option):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._processes.is_running(int(entry.name)):
                with contextlib.suppress(OSError):
                    if option in (entry / "cmdline").read_bytes().decode().split("\0"):
                        yield int(entry.name)

    def _is_here(self, pid):
        with contextlib.suppress(OSError):
            return f"TMPDIR={self.folder}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return False

    def cut(self):
        """Kill the connection, as that of a laptop that sleeps ends."""
        for pid in self.relays():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def site(tmp_path, processes, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    found = Site(folder, processes)
    yield found
    deadline = time.monotonic() + 20
    while (left := found.relays() + found.interchanges()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes are left behind"


@pytest.fixture
def load_at_site(load, site, tmp_path):
    def make(blocks=1, **settings):
        provider = SiteProvider(site_dir=str(tmp_path / "site"), init_blocks=blocks, max_blocks=blocks)
        return load(provider, **{"interchange": "site", **settings})

    return make


def test_tasks_run_at_the_site_and_nothing_is_left(load_at_site, site, ledger, until):
    with load_at_site():
        assert [future.result(60)[0] for future in [ledger.app(n, 0) for n in range(50)]] == list(range(50))
        assert len(site.interchanges()) == len(site.relays()) == 1
    until(lambda: not site.interchanges(), 10)


def test_connections_at_a_site_are_encrypted(load_at_site, ledger):
    with load_at_site() as dfk:
        ledger.app(0, 0).result(60)
        managers = dfk.executors["htex"]._managers
        assert all(managers.admitted().values())


def test_cut_connection_is_made_again_and_no_task_runs_twice(load_at_site, site, ledger):
    with load_at_site(blocks=2, heartbeat_period=2, heartbeat_threshold=8):
        ledger.app(0, 0).result(60)
        before = site.interchanges()
        futures = [ledger.app(n, 0.05) for n in range(1, 60)]
        for _ in range(3):
            time.sleep(0.3)
            site.cut()
        assert [future.result(60)[0] for future in futures] == list(range(1, 60))
        assert site.interchanges() == before
    assert ledger.runs() == dict.fromkeys(range(60), 1)


SCRIPT = """\
import sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from tests.faults.test_interchange_at_site import SiteProvider

@python_app
def nap(seconds):
    import os, time
    time.sleep(seconds)
    return os.getpid(), os.getppid()

executor = HighThroughputExecutor(
    provider=SiteProvider(site_dir=sys.argv[1]), max_workers=1, heartbeat_period=0.5, heartbeat_threshold=2,
    interchange="site", detached_timeout=3,
)
with cnflow.load(Config(executors=[executor])):
    print(*nap(0).result(), flush=True)
    nap(600).result()
"""


def test_killed_driver_leaves_nothing_after_the_detached_timeout(site, tmp_path, processes, until):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    driver = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "site")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )
    with driver:
        family = [int(pid) for pid in driver.stdout.readline().split()]
        assert site.interchanges()
        driver.kill()
    until(lambda: not site.relays())
    until(lambda: not site.interchanges(), 20)
    until(lambda: not any(processes.is_running(pid) for pid in family))
