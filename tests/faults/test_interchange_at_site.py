"""An interchange at the site of a provider, whose channel leads to this machine: its connection breaks."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar, Literal

import pytest

import cnflow
from cnflow.channels.local import LocalBackend
from cnflow.config.channels import LocalChannel
from cnflow.config.interchange_place import SiteAddress
from cnflow.providers import LocalProvider

pytestmark = pytest.mark.timeout(180)


class GateBackend(LocalBackend):
    """Commands fail while the file `gate` is there."""

    def __init__(self, settings):
        super().__init__(settings)
        self._gate = settings.gate

    def command(self, argv):
        return ["sh", "-c", f'test ! -e "{self._gate}" || exit 255; exec "$@"', "sh", *argv]


class GateChannel(LocalChannel):
    backend: ClassVar[type] = GateBackend
    kind: Literal["gate"] = "gate"
    gate: str


class SiteProvider(LocalProvider):
    """Blocks are processes of this machine, which is a site, too."""

    kind: Literal["local_site"] = "local_site"
    site_dir: str

    def site(self):
        return SiteAddress(GateChannel(gate=f"{self.site_dir}.gate"), self.site_dir)


class Site:
    """Processes of an interchange at the site are found by the folder of its sockets."""

    def __init__(self, folder, processes):
        self.folder = folder
        self.home = folder.with_name("site")
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

    @contextlib.contextmanager
    def unreachable(self):
        """Cut the connection, and let none be made."""
        gate = self.home.with_name("site.gate")
        gate.touch()
        self.cut()
        try:
            yield
        finally:
            gate.unlink()

    def kept(self):
        """Contents of the files of results that wait for the driver."""
        found = []
        for file in self.home.glob("spool/*/results/*"):
            with contextlib.suppress(FileNotFoundError):  # taken by the driver meanwhile
                found.append(file.read_bytes())
        return found


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


@pytest.mark.parametrize("is_killed", [False, True], ids=["block lives", "block ends"])
def test_large_result_waits_for_a_driver_that_is_away(load_at_site, site, processes, until, is_killed):
    size = 20_000_000

    @cnflow.python_app
    def large(seconds):
        import os
        import time

        time.sleep(seconds)
        return os.getppid(), b"x" * size

    with load_at_site(heartbeat_period=1, heartbeat_threshold=4):
        manager, _ = large(0).result(60)
        future = large(1)
        time.sleep(0.3)
        with site.unreachable():
            until(lambda: any(b"x" in content[-100:] for content in site.kept()), 30)
            if is_killed:
                processes.kill(manager)
                until(lambda: not processes.is_running(manager))
            assert not future.done()
        assert future.result(60) == (manager, b"x" * size)
        until(lambda: not site.kept(), 10)


def test_task_that_waits_for_a_broken_connection_is_explained(load_at_site, site, ledger, until):
    with load_at_site() as dfk:
        ledger.app(0, 0).result(60)
        future = ledger.app(1, 3)
        with site.unreachable():
            until(lambda: "has been broken for" in dfk.explain(future.tid), 10)
            assert "on this machine" in dfk.explain(future.tid)
        assert future.result(60)[0] == 1
        assert "broken" not in dfk.explain(future.tid)


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
