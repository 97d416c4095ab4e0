"""A laptop: a network namespace from which one port of one machine is reached, and which nobody reaches.

::

    laptop, in a namespace: script, ssh ── port of sshd ──────────> login node, this machine: sshd, Slurm, interchange
    laptop, in a namespace: script ─────── port of API server ────> cluster: interchange's pod, blocks
"""

import contextlib
import getpass
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.namespaces import Node
from tests.services.sshd_server import Sshd

SCRIPT = """\
import json, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

@python_app
def work(number, seconds):
    import os, socket, time
    time.sleep(seconds)
    with open(os.environ["RUNS"], "a") as file:
        file.write(f"{number}\\n")
    return number, os.getppid(), os.environ.get("SLURM_JOB_ID") or socket.gethostname()

executor = HighThroughputExecutor(**json.loads(sys.argv[1]))
with cnflow.load(Config(executors=[executor], run_dir="runinfo")):
    print(json.dumps(work(-1, 0).result()), flush=True)
    futures = [work(n, float(sys.argv[2])) for n in range(40)]
    print("submitted", flush=True)
    print(json.dumps([future.result() for future in futures]), flush=True)
    sys.stdin.readline()
"""
"""Runs 41 tasks, each of which adds its number to the file RUNS; gives number, manager, job or pod of each."""


class IsolatedLaptop:
    """The namespace.

    Args:
        folder: of the laptop's own files.
        address: that the laptop reaches; None is this machine's.
        port: of that address.

    Attributes:
        address: of the laptop, which accepts no connection.
        gateway: address of this machine.
    """

    def __init__(self, folder, address=None, port=None):
        self.node = Node(folder)
        self.gateway, self.address = self.node.address, self.node.far_address
        self.folder = folder / "laptop"
        self.folder.mkdir()
        if address is not None:
            self.node.inside("ip", "route", "add", "default", "via", self.gateway)
            self.allow_only(address, port)

    def allow_only(self, address, port):
        """Let connections to that port through, and no others."""
        only = ["-p", "tcp", "-d", address, "--dport", str(port)]
        for rule in (["-o", "lo", "-j", "ACCEPT"], [*only, "-j", "ACCEPT"], ["-j", "REJECT"]):
            self.node.inside("iptables", "-A", "OUTPUT", *rule)
        self.node.inside("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "!", "-i", "lo", "-j", "DROP")

    def start(self, script, settings, seconds=0.2, **variables):
        """Start a script, with *settings* and the *seconds* of a task as its arguments; its output is piped."""
        file = self.folder / "script.py"
        file.write_text(script)
        return self.run([sys.executable, str(file), json.dumps(settings), str(seconds)], **variables)

    def run(self, argv, stderr=None, **variables):
        """Start a command; its output is piped."""
        inside = ["ip", "netns", "exec", self.node.name, *argv]
        usual = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "TMPDIR": "/tmp"}
        return subprocess.Popen(
            inside, cwd=self.folder, env={**usual, **variables}, stdout=subprocess.PIPE, stderr=stderr, text=True
        )

    def sleep(self):
        """Let no packet through; neither end hears of it."""
        self.node.cut()

    def wake(self):
        """End a `sleep`."""
        self.node.reconnect()

    def can_reach(self, port, address=None):
        """Return whether a process of the laptop can connect with *port* of this machine, or of *address*."""
        code = f"import socket; socket.create_connection(({address or self.gateway!r}, {port}), 5)"
        argv = ["ip", "netns", "exec", self.node.name, sys.executable, "-c", code]
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        return subprocess.run(argv, check=False, capture_output=True, env={**os.environ, "PATH": path}).returncode == 0

    def commands_in_pods(self):
        """Processes of the laptop that are connected with a pod."""
        found = []
        for process in self.node.pids():
            with contextlib.suppress(OSError):
                if b"exec_process.py" in Path(f"/proc/{process}/cmdline").read_bytes():
                    found.append(process)
        return found

    def close(self):
        """Remove the namespace."""
        self.node.remove()


class Laptop(IsolatedLaptop):
    """A laptop with keys for a login node, which is this machine.

    Args:
        folder: of the sshd, its keys, and the laptop's own files.

    Attributes:
        site: folder for ``site_dir``.
    """

    def __init__(self, folder):
        super().__init__(folder)
        self.sshd = Sshd(folder / "sshd", settings=f"UsePAM no\nListenAddress {self.gateway}\n")
        self.site = folder / "site"
        self.allow_only(self.gateway, self.sshd.port)

    def channel(self, **environment):
        """Options of an `SSHChannel` to the login node."""
        return {
            "kind": "ssh",
            "host": self.gateway,
            "user": getpass.getuser(),
            "port": self.sshd.port,
            "key_file": str(self.sshd.folder / "user"),
            "options": self.sshd.options("StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={self.folder}/known"),
            "environment": environment,
            "keep_alive": 2,
        }

    def interchanges(self):
        """Processes of interchanges that were started from the site's folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if "--listen" in words and any(word.startswith(str(self.site)) for word in words):
                    found.append(int(entry.name))
        return found

    def cut(self):
        """Kill what serves the connections at the login node."""
        self.sshd.cut()

    def close(self):
        """Remove namespace and sshd."""
        self.sshd.stop()
        super().close()
