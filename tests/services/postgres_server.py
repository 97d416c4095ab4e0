"""A PostgreSQL of a test's own: started, killed and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PASSWORD = "s3cret"


def binaries():
    """Folder of the newest PostgreSQL that is installed; None without one."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


class PostgresServer:
    """Args: folder, empty and the server's own."""

    def __init__(self, folder):
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._user = None
        if os.getuid() == 0:  # which PostgreSQL refuses
            self._user = pwd.getpwnam("postgres").pw_name
            shutil.chown(folder, self._user)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        self._call(
            "initdb", "-D", self.data, "-U", "ann", "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "-N"
        )
        self.url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self):
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories="
        for _ in range(20):  # what was killed may hold its memory for a moment
            if self._call("pg_ctl", "start", "-w", "-D", self.data, "-l", self.data / "log", "-o", options) == 0:
                return
            time.sleep(0.5)
        raise AssertionError((self.data / "log").read_text())

    def kill(self):
        """End it as `kill -9` does, with all its processes."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        for each in (pid, *map(int, children)):
            os.kill(each, signal.SIGKILL)

    def stop(self):
        self._call("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def _call(self, name, *arguments):
        argv = [str(binaries() / name), *map(str, arguments)]
        return subprocess.run(
            argv,
            check=False,
            user=self._user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            cwd="/",
        ).returncode
