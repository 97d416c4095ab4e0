import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from cnflow.capsule import Probe
from cnflow.config import DockerProvider
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.docker import requests
from cnflow.providers.docker.requests import DELIVERED_ROOT, files_archive, node_command, probe_arguments, refuse_unfit

PROBE = Probe("3.11.7", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3", uid=1000, gid=100)
MANAGER = ManagerSettings(
    hosts=("172.17.0.1",), endpoint="tcp://{host}:5", executor="ht ex", block="0", secret_key="S3CRET"
)
REQUEST = BlockRequest(RunId("4f2a"), "ht ex", BlockId("0"), Image("app1:0.1"), MANAGER, Path("block.log"))


def create_arguments(settings, *, root=DELIVERED_ROOT, image_id="", request=REQUEST):
    command = node_command(request, PROBE, root)
    return requests.create_arguments(request, settings, command, image_id=image_id)


def test_create_arguments_without_options():
    assert create_arguments(DockerProvider()) == snapshot(
        {
            "image": "app1:0.1",
            "name": "cnflow-4f2a-ht-ex-0",
            "entrypoint": ["/usr/bin/python3"],
            "command": ["-I", "/.cnflow/capsule/cnflow/manager/__main__.py", "/.cnflow/run/settings.json", "--unlink"],
            "labels": {
                "cnflow.run": "4f2a",
                "cnflow.executor": "ht ex",
                "cnflow.block": "0",
                "cnflow.image": "app1:0.1",
            },
            "environment": {},
            "init": True,
            "auto_remove": True,
            "stop_signal": "SIGTERM",
            "healthcheck": {"test": ["NONE"]},
        }
    )


def test_create_arguments_with_every_option():
    settings = DockerProvider(
        network="lab",
        environment={"A": "1"},
        mounts={"/data": "/in:ro", "scratch": "/out"},
        cpus=1.5,
        memory="2g",
        gpus=["0", "1"],
        user="1000:100",
        create={"shm_size": "1g", "labels": {"team": "x", "cnflow.run": "forged"}, "environment": {"B": "2"}},
    )
    assert create_arguments(settings, image_id="sha256:1", root="/opt/cnflow") == snapshot(
        {
            "image": "sha256:1",
            "name": "cnflow-4f2a-ht-ex-0",
            "entrypoint": ["/usr/bin/python3"],
            "command": ["-I", "/opt/cnflow/cnflow/manager/__main__.py", "/.cnflow/run/settings.json", "--unlink"],
            "labels": {
                "team": "x",
                "cnflow.run": "4f2a",
                "cnflow.executor": "ht ex",
                "cnflow.block": "0",
                "cnflow.image": "app1:0.1",
            },
            "environment": {"CNFLOW_CORES": "1.5", "CNFLOW_MEMORY": "2147483648", "A": "1", "B": "2"},
            "init": True,
            "auto_remove": True,
            "stop_signal": "SIGTERM",
            "healthcheck": {"test": ["NONE"]},
            "nano_cpus": 1500000000,
            "mem_limit": 2147483648,
            "memswap_limit": 2147483648,
            "device_requests": [{"device_ids": ["0", "1"], "capabilities": [["gpu"]]}],
            "network": "lab",
            "user": "1000:100",
            "mounts": [
                {"Type": "bind", "Source": "/data", "Target": "/in", "ReadOnly": True},
                {"Type": "volume", "Source": "scratch", "Target": "/out", "ReadOnly": False},
            ],
            "shm_size": "1g",
        }
    )


def test_create_arguments_hold_no_key():
    assert "S3CRET" not in json.dumps(create_arguments(DockerProvider()))


def test_a_number_of_gpus_is_sent_as_a_count():
    arguments = create_arguments(DockerProvider(gpus=-1))
    assert arguments["device_requests"] == [{"count": -1, "capabilities": [["gpu"]]}]


def test_a_probe_sees_what_a_block_sees_but_no_network():
    settings = DockerProvider(
        network="lab", user="7", mounts={"/opt/py": "/py:ro"}, create={"ports": {"1": 1}, "read_only": True}
    )
    arguments = probe_arguments("sha256:1", "python3", settings)
    assert arguments["network_mode"] == "none"
    assert arguments["user"] == "7"
    assert arguments["mounts"][0]["Target"] == "/py"
    assert arguments["read_only"] is True
    assert not {"network", "ports", "init"} & arguments.keys()


def test_the_settings_file_is_readable_by_the_managers_user_alone():
    with tarfile.open(fileobj=io.BytesIO(files_archive({"/.cnflow/run/settings.json": b"{}"}, PROBE))) as tar:
        said = [(m.name, oct(m.mode), m.uid, m.gid, m.size) for m in tar]
    assert said == snapshot(
        [
            (".cnflow", "0o755", 0, 0, 0),
            (".cnflow/capsule", "0o755", 0, 0, 0),
            (".cnflow/run", "0o700", 1000, 100, 0),
            (".cnflow/run/settings.json", "0o600", 1000, 100, 2),
        ]
    )


def test_an_option_that_cnflow_depends_on_cannot_be_overridden():
    with pytest.raises(ConfigurationError, match="'entrypoint' may not be set"):
        create_arguments(DockerProvider(create={"entrypoint": "sh"}))


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("4g", 4 * 2**30),
        ("4gb", 4 * 10**9),
        ("512m", 2**29),
        ("1.5 GiB", 3 * 2**29),
        ("10KiB", 10240),
        (5, 5),
        ("7", 7),
    ],
)
def test_memory_is_bytes_or_a_number_with_a_unit(written, limit):
    assert create_arguments(DockerProvider(memory=written))["mem_limit"] == limit


def test_a_memory_limit_that_is_no_size_is_refused():
    with pytest.raises(ConfigurationError, match=r"DockerProvider: memory: must be .* not 'plenty'"):
        create_arguments(DockerProvider(memory="plenty"))


def test_a_command_of_the_requests_own_runs_instead_of_a_manager():
    command = NodeCommand(("sleep", "60"), {"A": "1"}, {"/x/y": b""}, {"/data": "/in:ro"})
    arguments = create_arguments(DockerProvider(), request=replace(REQUEST, command=command))
    assert (arguments["entrypoint"], arguments["command"]) == (["sleep"], ["60"])
    assert arguments["environment"] == {"A": "1"}
    assert arguments["mounts"][0]["Target"] == "/in"


@pytest.mark.parametrize("own", [{"DB_PASSWORD": "hunter2", "A": "1"}, ["DB_PASSWORD=hunter2", "A=1"]])
def test_a_preview_shows_no_secret_variable(own):
    shown = requests.preview_of(create_arguments(DockerProvider(create={"environment": own})))
    assert "hunter2" not in json.dumps(shown)
    assert "***" in json.dumps(shown)
    assert shown["environment"] in ({"DB_PASSWORD": "***", "A": "1"}, ["DB_PASSWORD=***", "A=1"])


@pytest.mark.parametrize(
    ("image", "nodes", "settings", "words"),
    [
        ("", 1, DockerProvider(), "asked for the bare node"),
        ("a", 2, DockerProvider(), "nodes_per_block=2"),
        ("a", 1, DockerProvider(network="none"), "no way to be reached"),
    ],
)
def test_a_block_that_no_engine_could_run_is_refused(image, nodes, settings, words):
    with pytest.raises(BlockRejectedError, match=words):
        refuse_unfit(image, nodes, settings)
