"""A node on a network of its own: a network namespace behind a virtual cable, whose faults a test chooses.

::

    driver, interchange ── CABLE (10.213.N.1) ═══ veth ═══ (10.213.N.2) ── manager, workers
                             │                                  │
                             └── iptables, tc: resets, dropped flows, a slow line, a cut

Needs root (marker ``root``). Traffic stays inside the cable.
"""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from cnflow.addresses import is_own

_numbers = itertools.count()


class Node:
    """Network namespace with one end of a virtual cable; this machine has the other end.

    Attributes:
        address: of this machine on the cable; the manager connects to it.
        far_address: of the node.
        far: network interface of the node.
        host: name of this machine that resolves to its present address, inside the namespace.
        python: interpreter that runs inside, for `LocalProvider`.
    """

    def __init__(self, folder):
        number = next(_numbers)
        self.name = f"cnf{os.getpid()}-{number}"
        nets = (f"10.213.{(os.getpid() + number + step) % 250}" for step in range(250))
        net = next(net for net in nets if not is_own(f"{net}.1"))  # tests of another checkout may have some
        self.address, self.cable = f"{net}.1", f"cfa{os.getpid()}-{number}"
        self.far_address = f"{net}.2"
        self.far = f"cfb{os.getpid()}-{number}"
        self._lock = threading.Lock()
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", self.far, "netns", self.name)
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.cable)
        run("ip", "link", "set", self.cable, "up")
        self.inside("ip", "addr", "add", f"{net}.2/24", "dev", self.far)
        self.inside("ip", "link", "set", self.far, "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.host = "cnflow-driver"
        self._hosts = Path("/etc/netns", self.name, "hosts")  # seen as /etc/hosts inside (ip-netns(8))
        self._hosts.parent.mkdir(parents=True)
        self._addresses = itertools.cycle([f"{net}.3/24", f"{net}.1/24"])
        self._present = f"{net}.1/24"
        self._write_hosts()
        self.python = folder / f"python-{number}"
        self.python.write_text(f'#!/bin/sh\nexec {shutil.which("ip")} netns exec {self.name} {sys.executable} "$@"\n')
        self.python.chmod(0o755)

    def inside(self, *command):
        """Run *command* in the namespace; return its output."""
        return run("ip", "netns", "exec", self.name, *command)

    def cut(self):
        """Let no packet through; connections stay, and continue after `reconnect`."""
        run("ip", "link", "set", self.cable, "down")

    def reconnect(self):
        """End a cut."""
        run("ip", "link", "set", self.cable, "up")

    def silence(self):
        """Drop all packets that the node sends; it still receives."""
        self.inside("iptables", "-I", "OUTPUT", "-j", "DROP")

    def unsilence(self):
        """End a silence."""
        self.inside("iptables", "-D", "OUTPUT", "-j", "DROP")

    def drop(self, share):
        """Drop *share* of the packets, each way."""
        for chain in ("INPUT", "OUTPUT"):
            rule = ["-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
            self.inside("iptables", "-A", chain, *rule)

    def refuse_new_connections(self):
        """Drop the packets with which the node would begin a connection; those of connections to it pass."""
        self.inside("iptables", "-A", "OUTPUT", "-p", "tcp", "--syn", "!", "-o", "lo", "-j", "DROP")

    def drop_all_that_comes_in(self):
        """Drop the packets that begin a connection to the node."""
        self.inside("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "!", "-i", "lo", "-j", "DROP")

    def listening(self):
        """Ports on which processes of the node listen."""
        return sorted({int(port) for port in re.findall(r"\S+:(\d+)\s+\S+:\*", self.inside("ss", "-Htln"))})

    def accepted(self):
        """Ports of this machine from which the node has accepted connections."""
        return [int(peer) for _, peer in self._established()]

    @contextlib.contextmanager
    def taken_port(self, port):
        """Let a process of the node listen on *port*."""
        code = (
            f"import socket, time; s = socket.create_server(('', {port})); print('taken', flush=True); time.sleep(999)"
        )
        with subprocess.Popen([self.python, "-c", code], stdout=subprocess.PIPE) as taker:
            try:
                taker.stdout.readline()
                yield
            finally:
                taker.kill()

    def connections(self):
        """Local ports of the node's connections to this machine."""
        return [int(port) for port, _ in self._established()]

    def _established(self):
        """Port of the node, and port of this machine, of each connection."""
        listed = self.inside("ss", "-Htn", "state", "established")
        return re.findall(r"\S+:(\d+)\s+10\.213\.\d+\.\d+:(\d+)", listed)

    def reset(self, *, both=True):
        """Reset all connections that the node has: at both ends, or at the node's alone.

        A packet of the connection is answered by a reset, to its sender. At the other end, without *both*, the
        connection stays, and hears nothing of that: all its packets are dropped, also later.
        """
        for port, peer in self._established():
            reset, drop = ("REJECT", "--reject-with", "tcp-reset"), ("DROP",)
            sent, received = (["--sport", port, "--dport", peer], ["--sport", peer, "--dport", port])
            self.inside("iptables", "-I", "OUTPUT", "-p", "tcp", *sent, "-j", *reset)
            self.inside("iptables", "-I", "INPUT", "-p", "tcp", *received, "-j", *(reset if both else drop))

    def forget(self):
        """Drop all packets of the connections that the node has, both ways, as a NAT does that forgot them.

        Neither end hears of it. New connections work.
        """
        for port, peer in self._established():
            self.inside("iptables", "-I", "OUTPUT", "-p", "tcp", "--sport", port, "--dport", peer, "-j", "DROP")
            self.inside("iptables", "-I", "INPUT", "-p", "tcp", "--sport", peer, "--dport", port, "-j", "DROP")

    def limit_rate(self, bytes_per_second):
        """Limit the line to a rate, each way; None ends that."""
        with self._lock:
            for where, device in ((run, self.cable), (self.inside, self.far)):
                with contextlib.suppress(subprocess.CalledProcessError):  # there was no limit
                    where("tc", "qdisc", "del", "dev", device, "root")
                if bytes_per_second:
                    limits = ("rate", f"{bytes_per_second * 8:.0f}bit", "burst", "64kb", "latency", "400ms")
                    where("tc", "qdisc", "add", "dev", device, "root", "tbf", *limits)

    def change_address(self):
        """Give this machine, and its name, another address on the cable; connections to the old one die unheard."""
        old, self._present = self._present, next(self._addresses)
        run("ip", "addr", "del", old, "dev", self.cable)  # first: with the first of two, its network's others go, too
        run("ip", "addr", "add", self._present, "dev", self.cable)
        self._write_hosts()

    def change_far_address(self):
        """Give the node another address on the cable; connections to the old one die unheard."""
        old, self.far_address = self.far_address, self.far_address.rpartition(".")[0] + ".7"
        self.inside("ip", "addr", "del", f"{old}/24", "dev", self.far)
        self.inside("ip", "addr", "add", f"{self.far_address}/24", "dev", self.far)

    def _write_hosts(self):
        self._hosts.write_text(f"127.0.0.1 localhost\n{self._present.partition('/')[0]} {self.host}\n")

    def pids(self):
        """Processes of the namespace."""
        return set(map(int, run("ip", "netns", "pids", self.name).split()))

    def remove(self):
        """Remove cable and namespace."""
        shutil.rmtree(self._hosts.parent)
        run("ip", "link", "del", self.cable)
        run("ip", "netns", "del", self.name)


def run(*command):
    """Run *command*; return its output."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}).stdout
