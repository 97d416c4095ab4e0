"""Blocks of two nodes, which are network namespaces: by two MPIs over a program like ssh, by GNU parallel over sshd.

The nodes share this machine's files, as those of a cluster share a home folder, and reach the driver by TCP alone.
"""

import getpass
import os
import signal
import subprocess
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.launchers import GnuParallelLauncher, MpiExecLauncher, MpiRunLauncher
from cnflow.providers import LocalProvider
from tests.conftest import mpi_folder
from tests.namespaces import Node, run

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

PORT = 2222


@python_app
def where(seconds=0.0):
    import os
    import time
    from pathlib import Path

    time.sleep(seconds)
    mpi = sorted(name for name in os.environ if name.startswith(("PMI", "OMPI", "HYDI")))
    network = str(Path("/proc/self/ns/net").readlink())
    return os.environ["CNFLOW_NODE_RANK"], network, os.environ.get("OF_THE_USER"), mpi


@pytest.fixture
def nodes(tmp_path):
    made = [Node(tmp_path), Node(tmp_path)]
    for node in made:  # so that every node reaches every address of this machine
        node.inside("ip", "route", "add", "default", "via", node.address)
    yield made
    for node in made:
        for pid in node.pids():
            os.kill(pid, signal.SIGKILL)
        node.remove()


@pytest.fixture
def load(nodes, tmp_path, monkeypatch):
    monkeypatch.setenv("CNFLOW_LAUNCH_DIR", str(tmp_path))

    def make(launcher, **settings):
        provider = LocalProvider(nodes_per_block=2, launcher=launcher, worker_init="export OF_THE_USER='a  b'")
        executor = HighThroughputExecutor(
            provider=provider,
            max_workers=1,
            prefetch=0,
            address=nodes[0].address,
            heartbeat_period=1,
            heartbeat_threshold=8,
            **settings,
        )
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"), retries=0))

    return make


def both_nodes(dfk, until):
    """Wait for both managers."""
    where(0).result(120)
    until(lambda: dfk.executor_status()[0].managers == 2, 120)


def works_on_both():
    """Run tasks on both nodes, with the variables of the first, and none of the MPI that started the managers."""
    places = [task.result(60) for task in [where(1) for _ in range(8)]]
    assert {rank for rank, *_ in places} == {"0", "1"}
    assert len({network for _, network, *_ in places}) == 2
    assert {variable for _, _, variable, _ in places} == {"a  b"}
    assert not any(mpi for *_, mpi in places)


def loses_the_tasks_of_one_node_alone(dfk, node, until):
    """Kill the manager on *node* while each node runs a task; the block goes on."""
    both_nodes(dfk, until)
    works_on_both()  # so that the workers of both are there
    tasks = [where(5) for _ in range(2)]
    time.sleep(2)
    managers = {info.pid for info in dfk.executors["htex"]._managers.managers().values()}
    (victim,) = managers & node.pids()
    os.kill(victim, signal.SIGKILL)
    ranks = {task.result(60)[0] for task in tasks}
    assert len(ranks) == 1, "the lost task ran again, on the other node"
    assert sorted(task.provenance.attempts for task in tasks) == [1, 2], "the other node lost nothing"
    (report,) = dfk.executors["htex"].block_reports()
    assert report.message.startswith("1 of 2 nodes are connected. Not connected: ")
    assert where(0).result(60)
    assert dfk.executor_status()[0].blocks == 1


# MPI


@pytest.fixture
def hydra(nodes, tmp_path):
    """Options of mpiexec for these nodes, whose names are their addresses."""
    cases = "".join(f"{node.far_address}) name={node.name} ;; " for node in nodes)
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\nwhile [ "${{1#-}}" != "$1" ]; do shift; done\ncase $1 in {cases}esac\nshift\n'
        'exec ip netns exec "$name" sh -c "$*"\n'
    )
    ssh.chmod(0o755)
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{node.far_address}\n" for node in nodes))
    options = ["-launcher", "ssh", "-launcher-exec", str(ssh), "-localhost", nodes[0].address]
    return {"hostfile": str(hosts), "overrides": options}


@pytest.mark.mpi
@pytest.mark.parametrize("launcher", [MpiExecLauncher, MpiRunLauncher])
def test_mpi_starts_a_manager_in_each_namespace(launcher, load, hydra, until, tmp_path):
    program = mpi_folder() / launcher.model_fields["program"].default
    with load(launcher(program=str(program), **hydra)) as dfk:
        both_nodes(dfk, until)
        works_on_both()
    assert not [*tmp_path.glob(".cnflow-launch-*")]


@pytest.mark.mpi
def test_node_that_an_mpi_started_is_lost_alone(load, hydra, nodes, until):
    with load(MpiExecLauncher(program=str(mpi_folder() / "mpiexec"), **hydra)) as dfk:
        loses_the_tasks_of_one_node_alone(dfk, nodes[1], until)


@pytest.mark.mpi
def test_node_that_open_mpi_started_is_lost_alone(load, hydra, nodes, until):
    agent = hydra["overrides"][hydra["overrides"].index("-launcher-exec") + 1]
    options = ["--allow-run-as-root", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", agent]
    with load(MpiRunLauncher(program="mpirun.openmpi", hostfile=hydra["hostfile"], overrides=options)) as dfk:
        loses_the_tasks_of_one_node_alone(dfk, nodes[1], until)


# GNU parallel


@pytest.fixture
def logins(nodes, tmp_path, until):
    """File of logins for GNU parallel: a real sshd in each namespace."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    servers = []
    for node in nodes:
        config = keys / f"sshd_config.{node.name}"
        config.write_text(
            f"Port {PORT}\nListenAddress {node.far_address}\nHostKey {keys}/host\n"
            f"AuthorizedKeysFile {keys}/user.pub\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPidFile none\n"
        )
        argv = ["ip", "netns", "exec", node.name, "/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        servers.append(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
        until(lambda node=node: PORT in node.listening(), 60)
    ssh = f"ssh -F none -i {keys}/user -p {PORT} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no"
    ssh += f" -o UserKnownHostsFile={keys}/known -o LogLevel=ERROR"
    file = tmp_path / "logins"
    file.write_text("".join(f"{ssh} {getpass.getuser()}@{node.far_address}\n" * 2 for node in nodes))
    yield str(file)
    for server in servers:
        server.terminate()
        server.wait()


@pytest.mark.parallel
@pytest.mark.sshd
def test_gnu_parallel_starts_a_manager_on_each_host_over_ssh(load, logins, until, tmp_path):
    with load(GnuParallelLauncher(hostfile=logins)) as dfk:
        both_nodes(dfk, until)
        works_on_both()
    until(lambda: not [*tmp_path.glob(".cnflow-launch-*")], 30)


@pytest.mark.parallel
@pytest.mark.sshd
def test_node_over_ssh_is_lost_alone(load, logins, nodes, until):
    with load(GnuParallelLauncher(hostfile=logins)) as dfk:
        loses_the_tasks_of_one_node_alone(dfk, nodes[1], until)


@pytest.mark.parallel
@pytest.mark.sshd
def test_host_that_cannot_be_reached_is_named_and_the_other_works(load, logins, nodes, until, caplog):
    run("ip", "netns", "exec", nodes[1].name, "ip", "link", "set", nodes[1].far, "down")
    with load(GnuParallelLauncher(hostfile=logins, overrides="--retries 1")) as dfk:
        assert where(0).result(120)
        (report,) = dfk.executors["htex"].block_reports()
        assert report.message.startswith("1 of 2 nodes are connected. Not connected: 1.")
