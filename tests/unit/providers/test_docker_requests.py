import io
import json
import tarfile
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from cnflow.capsule import Probe
from cnflow.config import DockerProvider
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.docker.requests import bytes_of, create_arguments, probe_arguments, refuse, settings_archive

PROBE = Probe("3.11.7", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3", uid=1000, gid=100)
MANAGER = ManagerSettings(
    hosts=("172.17.0.1",), endpoint="tcp://{host}:5", executor="ht ex", block="0", secret_key="S3CRET"
)
REQUEST = BlockRequest(RunId("4f2a"), "ht ex", BlockId("0"), "app1:0.1", MANAGER, Path("block.log"))


def test_what_is_sent_without_options():
    assert create_arguments(REQUEST, DockerProvider(), PROBE) == snapshot(
        {
            "image": "app1:0.1",
            "name": "cnflow-4f2a-ht-ex-0",
            "entrypoint": ["/usr/bin/python3"],
            "command": ["-I", "/.cnflow/capsule/cnflow/manager/__main__.py", "/.cnflow/run/settings.json"],
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


def test_what_is_sent_with_every_option():
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
    assert create_arguments(REQUEST, settings, PROBE, image_id="sha256:1", root="/opt/cnflow") == snapshot(
        {
            "image": "sha256:1",
            "name": "cnflow-4f2a-ht-ex-0",
            "entrypoint": ["/usr/bin/python3"],
            "command": ["-I", "/opt/cnflow/cnflow/manager/__main__.py", "/.cnflow/run/settings.json"],
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


def test_no_key_is_in_what_is_sent():
    assert "S3CRET" not in json.dumps(create_arguments(REQUEST, DockerProvider(), PROBE))


def test_a_number_of_gpus_is_sent_as_a_count():
    arguments = create_arguments(REQUEST, DockerProvider(gpus=-1), PROBE)
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


def test_the_settings_file_is_its_users_alone():
    with tarfile.open(fileobj=io.BytesIO(settings_archive(b"{}", PROBE))) as tar:
        said = [(m.name, oct(m.mode), m.uid, m.gid, m.size) for m in tar]
    assert said == snapshot(
        [
            (".cnflow", "0o755", 0, 0, 0),
            (".cnflow/capsule", "0o755", 0, 0, 0),
            (".cnflow/run", "0o700", 1000, 100, 0),
            (".cnflow/run/settings.json", "0o600", 1000, 100, 2),
        ]
    )


def test_what_cnflow_depends_on_cannot_be_overridden():
    with pytest.raises(ConfigurationError, match="'entrypoint' may not be set"):
        create_arguments(REQUEST, DockerProvider(create={"entrypoint": "sh"}), PROBE)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("4g", 4 * 2**30), ("512m", 2**29), ("1.5 GiB", 3 * 2**29), ("10kb", 10240), (5, 5), ("7", 7)],
)
def test_memory_is_bytes_or_a_number_with_a_unit(written, meant):
    assert bytes_of(written) == meant


def test_other_words_for_memory_are_refused():
    with pytest.raises(ConfigurationError, match="not 'plenty'"):
        bytes_of("plenty")


@pytest.mark.parametrize(
    ("image", "settings", "words"),
    [
        ("", DockerProvider(), "asked for the bare node"),
        ("a", DockerProvider(nodes_per_block=2), "nodes_per_block=2"),
        ("a", DockerProvider(network="none"), "no way to be reached"),
    ],
)
def test_what_no_engine_could_run_is_refused(image, settings, words):
    with pytest.raises(BlockRejectedError, match=words):
        refuse(image, settings)
