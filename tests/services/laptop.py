"""A laptop: a network namespace from which only the sshd of a login node is reached, which is this machine.

::

    laptop, in a namespace: script, ssh ── port of sshd, nothing else ──> login node: sshd, Slurm, interchange, nodes
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


class Laptop:
    """The namespace, with keys for the login node.

    Args:
        folder: of the sshd, its keys, and the laptop's own files.

    Attributes:
        address: of the laptop, which accepts no connection.
        site: folder for ``site_dir``.
    """

    def __init__(self, folder):
        self._node = Node(folder)
        self.address = self._node.far_address
        self.sshd = Sshd(folder / "sshd", settings=f"UsePAM no\nListenAddress {self._node.address}\n")
        self.site = folder / "site"
        self.folder = folder / "laptop"
        self.folder.mkdir()
        only = ["-p", "tcp", "-d", self._node.address, "--dport", str(self.sshd.port)]
        for rule in (["-o", "lo", "-j", "ACCEPT"], [*only, "-j", "ACCEPT"], ["-j", "REJECT"]):
            self._node.inside("iptables", "-A", "OUTPUT", *rule)
        self._node.inside("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "!", "-i", "lo", "-j", "DROP")

    def channel(self, **environment):
        """Options of an `SSHChannel` to the login node."""
        return {
            "kind": "ssh",
            "host": self._node.address,
            "user": getpass.getuser(),
            "port": self.sshd.port,
            "key_file": str(self.sshd.folder / "user"),
            "options": self.sshd.options("StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={self.folder}/known"),
            "environment": environment,
            "keep_alive": 2,
        }

    def start(self, script, settings):
        """Start a script, with *settings* as its argument; its output is piped."""
        file = self.folder / "script.py"
        file.write_text(script)
        return self.run([sys.executable, str(file), json.dumps(settings)])

    def run(self, argv, stderr=None):
        """Start a command; its output is piped."""
        inside = ["ip", "netns", "exec", self._node.name, *argv]
        variables = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "TMPDIR": "/tmp"}
        return subprocess.Popen(
            inside, cwd=self.folder, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True
        )

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

    def sleep(self):
        """Let no packet through; neither end hears of it."""
        self._node.cut()

    def wake(self):
        """End a `sleep`."""
        self._node.reconnect()

    def can_reach(self, port):
        """Return whether a process of the laptop can connect with *port* of the login node."""
        code = f"import socket; socket.create_connection(({self._node.address!r}, {port}), 5)"
        argv = ["ip", "netns", "exec", self._node.name, sys.executable, "-c", code]
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        return subprocess.run(argv, check=False, capture_output=True, env={**os.environ, "PATH": path}).returncode == 0

    def close(self):
        """Remove namespace and sshd."""
        self.sshd.stop()
        self._node.remove()
