"""Orders of machines, made from requests for blocks."""

import json
from pathlib import Path

import pytest

from cnflow.capsule import Kind
from cnflow.config.machines import MachineSettings
from cnflow.errors import BlockRejectedError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.boot_order import BootOrder
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.image_parts import Secret
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers._shared.machines.boot_orders import Way, order_archive, order_for

KIND = Kind("3.11", "x86_64", "glibc", carries_python=True)
WAY = Way(("10.0.0.1",), 4444, "ab", "token")
MANAGER = ManagerSettings(hosts=("h",), endpoint="e", executor="htex", block="0", secret_key="S3CRET")


def order(image=NO_IMAGE, command=None, walltime=None, **options):
    request = BlockRequest(
        RunId("r"), "htex", BlockId("0"), image, MANAGER, Path("log"), command=command, walltime=walltime
    )
    return order_for(request, 1, MachineSettings(kind="test", **options), KIND, WAY)


def test_order_is_read_as_it_was_written():
    made = order(Image("app:1"), environment={"A": "b"})
    assert BootOrder.from_json(made.to_json()) == made


def test_keys_are_in_files_alone():
    for made in (order(), order(Image("app:1"))):
        assert "S3CRET" not in str((made.commands, made.environment))
        assert b"S3CRET" in made.files["/opt/cnflow/manager/settings.json"]


def test_bare_machine_runs_worker_init_in_the_shell_of_the_manager():
    made = order(worker_init="module load gcc", python="/opt/conda/bin/python")
    shell, option, script, _, *rest = made.commands["bare"]
    assert (shell, option) == ("/bin/sh", "-c")
    assert script.startswith("module load gcc\ncommand -v /opt/conda/bin/python ")
    assert "export CNFLOW_PYTHON=/opt/conda/bin/python" in script
    assert script.endswith('exec "$@"')
    assert rest == [
        *("/bin/sh", "/opt/cnflow/manager/start.sh", "/opt/cnflow/manager/settings.json"),
        "cp311-x86_64-glibc-carried=/opt/cnflow/code",
    ]


def test_rank_reaches_the_manager_by_a_variable():
    assert order(environment={"A": "b"}).environment == {"A": "b", "CNFLOW_NODE_RANK": "1"}


def test_container_is_started_by_the_engine_that_the_machine_has():
    made = order(Image("app:1", memory="2g"))
    assert set(made.commands) == {"docker", "podman"}
    script = made.commands["docker"][2]
    assert "--memory=2147483648" in script
    assert 'type=bind,source="/opt/cnflow/code",target="/opt/cnflow/code",readonly' in script
    assert 'type=bind,source="/opt/cnflow/manager",target="/opt/cnflow/manager"' in script
    assert set(order(Image("app:1"), runtime="podman").commands) == {"podman"}


def test_files_of_a_command_keep_their_paths_in_a_container():
    made = order(Image("app:1"), NodeCommand(("cat", "/run/key"), files={"/run/key": b"k"}))
    assert made.files == {"/opt/cnflow/files/0": b"k"}
    assert 'source="/opt/cnflow/files/0",target="/run/key",readonly' in made.commands["podman"][2]
    assert not made.drains


def test_files_belong_to_the_user_of_the_container():
    assert order(Image("app:1", user="1000:100")).owner == "1000:100"
    assert order(Image("app:1", user="nobody")).owner == ""


def test_login_is_that_of_the_registry_of_the_image():
    made = order(Image("registry.example/app:1", credentials=("me", Secret(value="S3CRET"))))
    assert json.loads(made.registry_login)["auths"]["registry.example"]["username"] == "me"
    assert order(Image("app:1")).registry_login == ""


def test_manager_has_time_to_end_itself_at_its_walltime():
    assert order(walltime=60.0).life == 90
    assert order(command=NodeCommand(("true",)), walltime=60.0).life == 60
    assert order().life is None


def test_image_that_no_engine_can_run_is_refused():
    with pytest.raises(BlockRejectedError, match="comma"):
        order(Image("app:1", mounts=["/a,b:/data"]))


def test_archive_is_small_and_holds_the_order():
    assert len(order_archive(order(Image("app:1")))) < 16384
