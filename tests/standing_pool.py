"""A pool server of a test, started and stopped by ``cnflow pool``."""

import json
import subprocess
import sys


class StandingPool:
    """A server.

    Args:
        folder: of its files.
        pools: as its configuration has them; by default one of two workers on this machine.

    Attributes:
        folder: of the server.
    """

    def __init__(self, folder, pools=({"name": "main", "max_workers": 2, "provider": {"kind": "local"}},)):
        self.folder = folder / "pool"
        self._config = folder / "pool.json"
        self._config.write_text(json.dumps({"pools": list(pools)}))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def run(self, *words):
        """Run a command of ``cnflow pool`` and return what it printed."""
        command = [sys.executable, "-m", "cnflow.cli", "pool", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        """Start it, at the ports that it had before."""
        self.run("start", str(self.folder), "--config", str(self._config))

    def stop(self):
        """Stop it, with its blocks."""
        self.run("stop", str(self.folder))

    def key(self, name):
        """Issue a key; return its file."""
        file = self.folder.with_name(f"{name}.key.json")
        self.run("key", name, str(self.folder), "--output", str(file))
        return str(file)

    def revoke(self, name):
        """Withdraw a key."""
        self.run("key", name, str(self.folder), "--revoke")

    @property
    def log(self):
        """All that the server and its interchanges have logged."""
        return "".join(path.read_text(errors="replace") for path in self.folder.rglob("*.log"))

    @property
    def address(self):
        """For `ExistingPool`; of a server of several pools, that of the first."""
        pool = json.loads((self.folder / "pool.json").read_text())["pools"][0]
        return f"tcp://127.0.0.1:{pool['clients_port']}"

    def status(self):
        """State of the first pool."""
        return json.loads(self.run("status", str(self.folder), "--json"))["pools"][0]
