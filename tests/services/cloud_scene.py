"""A laptop with ssh and the interface of a cloud, and nothing else; machines of the cloud in a network of their own.

::

    laptop, in a namespace: script, ssh ── port 22 ──────────────> machines: interchange, blocks   (10.81.10.0/24)
                                     ├─── port of a forwarder ───> stand-in of EC2 ── starts ──> machines
                                     └─ ✗ all else                 machines ── ✗ the laptop; each other: all
"""

import contextlib
import os

from tests.namespaces import run
from tests.services.ec2_cloud import EC2, ec2_places
from tests.services.laptop import IsolatedLaptop
from tests.tunnel import Tunnel


class CloudScene(IsolatedLaptop):
    """The laptop. Needs root.

    Args:
        folder: of the laptop's own files.

    Attributes:
        ec2: the stand-in, for this laptop's calls.
        environment: variables by which the SDK calls it from the laptop.
    """

    def __init__(self, folder):
        super().__init__(folder)
        places = ec2_places()
        self._subnet = places["subnet"]
        self.ec2 = EC2()
        self._forwarder = Tunnel(int(places["port"]), self.gateway)
        self.environment = {**self.ec2.environment, "AWS_ENDPOINT_URL": f"http://{self.gateway}:{self._forwarder.port}"}
        self.node.inside("ip", "route", "add", "default", "via", self.gateway)
        self._rules = [
            ["-i", self.node.cable, "-d", self._subnet, "-p", "tcp", "--dport", "22", "-j", "ACCEPT"],
            ["-o", self.node.cable, "-s", self._subnet, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"],
        ]
        for rule in self._rules:  # before Docker's own rules, which isolate its networks
            run("iptables", "-I", "DOCKER-USER", *rule)
        self._filter()

    def _filter(self):
        """Let the laptop begin connections to the two ports, and nobody begin one with it."""
        ssh = ["-p", "tcp", "-d", self._subnet, "--dport", "22"]
        api = ["-p", "tcp", "-d", self.gateway, "--dport", str(self.api_port)]
        for rule in (["-o", "lo", "-j", "ACCEPT"], [*ssh, "-j", "ACCEPT"], [*api, "-j", "ACCEPT"], ["-j", "REJECT"]):
            self.node.inside("iptables", "-A", "OUTPUT", *rule)
        self.node.inside("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "!", "-i", "lo", "-j", "DROP")

    def run(self, argv, stderr=None, **variables):
        """Start a command; its output is piped."""
        home = {"HOME": str(self.folder), "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", "/root/.cache")}
        return super().run(argv, stderr, **{**self.environment, **home, **variables})

    @property
    def api_port(self):
        """Port of this machine at which the laptop calls the cloud."""
        return self._forwarder.port

    def silence_api(self):
        """Let the cloud's interface answer no call, until `restore_api`."""
        self._forwarder.is_down = True
        self._forwarder.cut()

    def restore_api(self):
        """End a `silence_api`."""
        self._forwarder.is_down = False

    def close(self):
        """Remove namespace, rules and machines."""
        for rule in self._rules:
            with contextlib.suppress(Exception):
                run("iptables", "-D", "DOCKER-USER", *rule)
        self._forwarder.close()
        self.ec2.remove()
        super().close()
