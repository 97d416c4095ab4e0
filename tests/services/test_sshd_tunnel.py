"""A node whose firewall lets no connection out, reached through ``ssh -R``: a real sshd in a network namespace."""

import getpass
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.executors import Tunnel
from tests.namespaces import Node

pytestmark = [pytest.mark.sshd, pytest.mark.root, pytest.mark.timeout(120)]

PORT = 2222


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    made.refuse_new_connections()
    yield made
    made.remove()


@pytest.fixture
def keys(tmp_path):
    """Folder with a key pair ``host`` and one ``user``."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder


@pytest.fixture
def server(node, keys, until):
    config = keys / "sshd_config"
    config.write_text(
        f"Port {PORT}\nListenAddress {node.far_address}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\n"
        "StrictModes no\nPasswordAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    argv = ["ip", "netns", "exec", node.name, "/usr/sbin/sshd", "-D", "-e", "-f", config]
    with (keys / "sshd.log").open("wb") as log, subprocess.Popen(argv, stderr=log) as process:
        until(lambda: PORT in node.listening())
        yield process
        process.terminate()


@pytest.fixture
def way(node, keys, server):
    options = ["BatchMode=yes", "ExitOnForwardFailure=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new"]
    options.append(f"UserKnownHostsFile={keys}/known")
    command = ["ssh", "-N", "-F", "none", "-i", f"{keys}/user", "-p", str(PORT)]
    command += [word for option in options for word in ("-o", option)]
    command += ["-R", "{port}:127.0.0.1:{port}", f"{getpass.getuser()}@{node.far_address}"]
    return Tunnel(address="127.0.0.1:{port}", command=command)


@pytest.fixture
def load(way, node, tmp_path):
    def make(**settings):
        executor = HighThroughputExecutor(
            provider=LocalProvider(python=str(node.python)), max_workers=1, way=way, **settings
        )
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo")))

    return make


@python_app
def doubled(data, seconds=0.0):
    import os
    import time

    time.sleep(seconds)
    return data + data, os.getppid()


def tunnels(keys):
    """Processes of ssh that use these keys."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"ssh" and f"{keys}/user".encode() in words:
            found.append(int(entry.name))
    return found


def test_large_arguments_and_results_travel_through_ssh(load, keys, until):
    data = bytes(range(256)) * 80_000
    with load():
        assert doubled(data).result(60)[0] == data + data
        assert len(tunnels(keys)) == 1
    until(lambda: not tunnels(keys))


def test_tunnel_that_breaks_is_made_again_and_loses_nothing(load, keys, caplog, until):
    with load(heartbeat_period=1, heartbeat_threshold=10) as dfk:
        _, manager = doubled("a").result(60)
        futures = [doubled(str(n), 0.1) for n in range(30)]
        time.sleep(0.5)
        (tunnel,) = tunnels(keys)
        os.kill(tunnel, signal.SIGKILL)
        assert [future.result(60) for future in futures] == [(f"{n}{n}", manager) for n in range(30)]
        assert dfk.executor_status()[0].managers == 1
        assert tunnels(keys) != [tunnel]
    assert "the tunnel of executor htex was killed by signal 9 (SIGKILL); again in 0.5 s" in caplog.text


def test_tunnel_that_ssh_cannot_make_is_explained_by_its_words(load, server, caplog):
    server.terminate()
    server.wait()
    with load(address_probe_timeout=1, heartbeat_period=1, heartbeat_threshold=4):
        error = doubled("a").exception(60)
    assert "the near end of the tunnel, 127.0.0.1:" in str(error)
    assert "Connection refused" in caplog.text, "the words of ssh"
