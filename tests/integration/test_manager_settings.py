"""A real manager reads its settings from a file or from the standard input; no interchange answers it."""

import subprocess
import sys

import msgspec
import pytest

from cnflow.capsule import driver_root
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers import manager_command
from cnflow.wire import sockets
from tests.waiting import wait_until

SETTINGS = ManagerSettings(
    hosts=("127.0.0.1",),
    endpoint="tcp://{host}:9",
    executor="htex",
    block="0",
    max_workers=1,
    address_probe_timeout=0.2,
)


def run(content=None, **options):
    command = manager_command(SETTINGS, python=sys.executable, root=str(driver_root()), is_isolated=False, **options)
    return subprocess.run(command.argv, input=content, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_settings_file_is_removed_unless_it_is_shared(tmp_path, is_shared):
    file = tmp_path / "settings.json"
    file.write_bytes(SETTINGS.to_json())
    done = run(settings_file=str(file), is_shared=is_shared)
    assert b"interchange answers at none" in done.stderr
    assert file.exists() is is_shared


def test_settings_are_read_from_the_standard_input():
    assert b"interchange answers at none" in run(SETTINGS.to_json()).stderr


def test_manager_that_is_to_end_and_holds_nothing_does_not_wait_for_an_interchange_that_is_gone(tmp_path):
    context = sockets.new_context()
    router, port = sockets.bind_router(context, "tcp://127.0.0.1")
    settings = msgspec.structs.replace(
        SETTINGS, endpoint=f"tcp://{{host}}:{port}", heartbeat_period=1.0, grace_period=300.0, heartbeat_threshold=300.0
    )
    command = manager_command(settings, python=sys.executable, root=str(driver_root()), is_isolated=False)
    with (tmp_path / "log").open("wb") as log:
        manager = subprocess.Popen(command.argv, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            manager.stdin.write(settings.to_json())
            manager.stdin.close()
            wait_until(lambda: next(router.receive(), None))
            router.close()
            manager.terminate()
            assert manager.wait(40) == 0
        finally:
            manager.kill()
            context.term()
