"""Machines, played by containers with networks of their own, that boot by their user data from a boot server here."""

import contextlib
import os
import re
import socket
import socketserver
import subprocess
import threading

import pytest

from cnflow.channels import LocalChannel
from cnflow.channels.local import LocalBackend
from cnflow.config.machines import MachineSettings
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.image_parts import Secret
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers._shared.machines.boot import BootPlace
from cnflow.providers._shared.machines.boot_push import PushingBootSite
from cnflow.providers._shared.machines.boot_site import BootServerSite
from cnflow.providers._shared.machines.certificate import new_identity
from cnflow.sites.folder import SiteFolder
from tests import clock_shift
from tests.services.machines.metadata import Facts
from tests.services.machines.vms import USUAL, Kind, Machines
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(180)]

COMMAND = NodeCommand(("/bin/sh", "-c", "echo hello from $(id -un), rank $CNFLOW_NODE_RANK; cat /run/files/key"))
KEY = {"/run/files/key": b"S3CRET of the test\n"}
TEN_YEARS = 10 * 365 * 86400


class MachinesWithAClock(Machines):
    """Machines whose clock is wrong."""

    def lay(self, seed, user_data, kind):
        super().lay(seed, user_data, kind)
        clock_shift.build(seed)
        clock_shift.write_shift(seed / "shift", -TEN_YEARS)


class EC2Settings(MachineSettings):
    notices = "ec2"


class GoogleSettings(MachineSettings):
    notices = "google"


@pytest.fixture(scope="module", autouse=True)
def image():
    """The image of machines, which is made once."""
    subprocess.run(["tests/services/machines/image"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def machines(tmp_path):
    number = os.getpid() % 200
    made = MachinesWithAClock(f"boot-{os.getpid()}", subnet=f"10.84.{number}.0/24", folder=tmp_path / "machines")
    made.make_network()
    yield made
    made.remove()


@pytest.fixture
def make_site(machines, tmp_path):
    """Makes boot sites on this machine, of settings with the given options."""
    sites = []

    def make(settings_class=MachineSettings, hosts=None, **options):
        settings = settings_class(kind="test", **{"startup_timeout": 60, **options})
        folder = SiteFolder(LocalBackend(LocalChannel()), str(tmp_path / "site"))
        sites.append(BootServerSite(settings, BootPlace(folder, hosts or (machines.gateway,))))
        return sites[-1]

    yield make
    for each in sites:
        each.close()


@pytest.fixture
def boot(machines):
    """Boots a machine, lets it end itself, and returns what it has printed."""

    def run(user_data, kind=USUAL, name="m0", facts=None):
        machine = machines.start(name, user_data.encode(), facts or Facts(name), kind)
        try:
            wait_until(lambda: not machine.is_running(), timeout=120, period=0.5)
        finally:
            console = machine.console().decode()
            machine.remove()
        return console

    return run


def request_of(tmp_path, command=COMMAND, image=NO_IMAGE, files=KEY, **options):
    manager = ManagerSettings(
        hosts=("127.0.0.1",), endpoint="tcp://{host}:1", executor="htex", block="0", address_probe_timeout=2.0
    )
    if command is not None and files:
        command = NodeCommand(command.argv, files=files)
    return BlockRequest(RunId("r1"), "htex", BlockId("0"), image, manager, tmp_path / "log", command=command, **options)


@pytest.mark.parametrize(
    "lacks",
    [(), ("python3",), ("python3", "curl"), ("python3", "curl", "wget")],
    ids=["python", "curl", "wget", "openssl"],
)
def test_machine_boots_by_whatever_program_it_has(make_site, boot, tmp_path, lacks):
    site = make_site()
    request = request_of(tmp_path)
    console = boot(site.admit(request, 3), Kind(lacks=lacks))
    assert "=== cnflow: output ===\nhello from root, rank 3\nS3CRET of the test\n=== cnflow: exit code 0 ===" in console
    assert "hello from root" in site.report_of(request.name, 3)
    assert re.search(r"token=(\w{64})", site.admit(request, 3))[1] not in console


@pytest.mark.long
def test_machine_without_any_program_to_fetch_by_says_so(make_site, boot, tmp_path):
    site = make_site()
    console = boot(site.admit(request_of(tmp_path), 0), Kind(lacks=("python3", "curl", "wget", "openssl")))
    assert "=== cnflow: boot failed: the machine has none of python3 (3.6 or newer), curl, wget and openssl" in console


def test_manager_starts_on_a_machine_without_python(make_site, boot, tmp_path):
    site = make_site()
    request = request_of(tmp_path, command=None)
    console = boot(site.admit(request, 0), Kind(lacks=("python3",)))
    assert "the driver's Python runs the manager" in console
    assert "the interchange answers at none of 127.0.0.1" in console
    assert "=== cnflow: exit code 3 ===" in site.report_of(request.name, 0)


def test_real_cloud_init_runs_the_user_data(make_site, boot, tmp_path):
    site = make_site(user_data="echo mounts on $(uname -n)")
    console = boot(site.admit(request_of(tmp_path), 0), Kind(runs_cloud_init=True))
    assert "mounts on m0" in console
    assert "=== cnflow: exit code 0 ===" in console
    assert "Cloud-init" in console


def test_machine_with_a_wrong_clock_boots(make_site, boot, tmp_path):
    shift = "export LD_PRELOAD=/seed/clock.so CLOCK_SHIFT=/seed/shift\n"
    for lacks in ((), ("python3", "curl"), ("python3", "curl", "wget")):
        site = make_site()
        text = site.admit(request_of(tmp_path, NodeCommand(("date", "+year %Y")), files={}), 0)
        console = boot(text.replace("umask 077\n", f"umask 077\n{shift}"), Kind(lacks=lacks))
        assert "year 2016\n" in console
        assert "=== cnflow: exit code 0 ===" in console


@pytest.mark.long
@pytest.mark.parametrize("lacks", [(), ("python3",), ("python3", "curl"), ("python3", "curl", "wget")])
def test_machine_sends_nothing_to_a_server_with_another_certificate(make_site, boot, tmp_path, machines, lacks):
    site = make_site(startup_timeout=6)
    request = request_of(tmp_path)
    text = site.admit(request, 0)
    own, other = site._identity.pin, new_identity((machines.gateway,)).pin
    for name in ("digest", "key", "certificate"):
        text = text.replace(getattr(own, name), getattr(other, name))
    console = boot(text, Kind(lacks=lacks))
    assert "=== cnflow: boot failed: no manager was started within startup_timeout=6 s" in console
    assert site.report_of(request.name, 0) == ""
    assert not list((tmp_path / "site").glob("**/claims/*"))


def test_token_works_once(make_site, boot, tmp_path):
    site = make_site()
    request = request_of(tmp_path)
    text = site.admit(request, 0)
    assert text == site.admit(request, 0)
    assert "hello from root" in boot(text)
    second = boot(text, name="m1")
    assert "boot failed: cnflow: this machine's token was used before, by another machine or another boot." in second
    assert "hello from root" not in second
    assert "refused a second machine" in site.report_of(request.name, 0)


def test_driver_brings_the_boot_by_ssh(machines, tmp_path):
    site = PushingBootSite(MachineSettings(kind="test", boot="ssh", startup_timeout=60))
    request = request_of(tmp_path)
    machine = machines.start("m0", site.admit(request, 2).encode(), Facts("m0"))
    wait_until(lambda: b"waits for its code" in machine.console())
    for _ in range(3):  # as often as the cloud lists it
        site.bring(request.name, 2, [machine.address])
    wait_until(lambda: not machine.is_running())
    console = machine.console().decode()
    site.close()
    assert "hello from root, rank 2\nS3CRET of the test\n=== cnflow: exit code 0 ===" in console


@pytest.mark.long
def test_machine_that_the_driver_does_not_reach_ends_and_is_reported(machines, tmp_path):
    site = PushingBootSite(MachineSettings(kind="test", boot="ssh", startup_timeout=8))
    request = request_of(tmp_path)
    text = site.admit(request, 0)
    site.bring(request.name, 0, ["127.0.0.9"])
    machine = machines.start("m0", text.encode(), Facts("m0"))
    wait_until(lambda: not machine.is_running())
    assert "boot failed: no manager was started within startup_timeout=8 s" in machine.console().decode()
    assert "the driver does not reach the machine by ssh: " in site.report_of(request.name, 0)
    site.close()


@pytest.mark.long
def test_machine_of_another_architecture_is_refused_at_once(make_site, boot, tmp_path):
    text = make_site().admit(request_of(tmp_path), 0).replace(os.uname().machine, "riscv64")
    assert f"boot failed: the machine is a {os.uname().machine}, and the driver's Python" in boot(text)


@pytest.mark.long
def test_forgotten_block_boots_no_more(make_site, boot, tmp_path):
    site = make_site()
    request = request_of(tmp_path)
    text = site.admit(request, 0)
    site.forget([request.name, "unknown"])
    assert "boot failed: cnflow: this machine's token is not known here" in boot(text)


@pytest.mark.long
def test_machine_ends_itself_where_its_server_is_gone(make_site, boot, tmp_path):
    site = make_site(startup_timeout=5)
    text = site.admit(request_of(tmp_path), 0)
    site.close()
    console = boot(text)
    assert "Connection refused" in console
    assert "boot failed: no manager was started within startup_timeout=5 s; the machine fetches its code" in console


def test_server_that_died_is_started_again_on_its_port(make_site, boot, tmp_path):
    site = make_site()
    text = site.admit(request_of(tmp_path), 0)
    site._server.kill()
    site._server.wait()
    site.admit(request_of(tmp_path), 1)
    assert "hello from root" in boot(text)


@pytest.mark.long
def test_boot_that_hangs_in_the_commands_of_the_user_ends(make_site, boot, tmp_path):
    site = make_site(startup_timeout=4, user_data="echo waits for a disk\nsleep 1000")
    request = request_of(tmp_path)
    boot(site.admit(request, 0))
    report = site.report_of(request.name, 0)
    assert "waits for a disk" in report
    assert "started within startup_timeout=4 s; the machine runs the commands of user_data ===" in report


@pytest.mark.long
def test_failing_commands_of_the_user_end_the_boot(make_site, boot, tmp_path):
    site = make_site(user_data="#!/bin/bash\nset -e\nmount /dev/nowhere /mnt\necho not reached")
    request = request_of(tmp_path)
    console = boot(site.admit(request, 0))
    assert "boot failed: the commands of user_data ended with exit code" in console
    assert "not reached" not in console
    assert "/dev/nowhere" in site.report_of(request.name, 0)


def test_machine_ends_at_its_walltime(make_site, boot, tmp_path):
    site = make_site()
    stubborn = NodeCommand(("sh", "-c", "trap 'echo told to end' TERM; while :; do sleep 0.1; done"))
    request = request_of(tmp_path, stubborn, files={}, walltime=2.0)
    console = boot(site.admit(request, 0))
    assert "told to end\n" in console
    assert "=== cnflow: exit code 137 ===" in console


@pytest.mark.parametrize(
    ("settings", "notice", "words"),
    [
        (EC2Settings, {"spot_action": {"action": "terminate", "time": "2026-11-25T14:00:00Z"}}, "EC2 gives notice"),
        (GoogleSettings, {"preempted": "TRUE"}, "Compute Engine preempts this machine"),
    ],
)
def test_notice_of_the_cloud_drains_the_manager(make_site, machines, tmp_path, settings, notice, words):
    script = "trap 'echo drains; exit 0' USR1\necho waits\nwhile :; do sleep 0.1; done"
    site = make_site(settings, worker_init=script)
    request = request_of(tmp_path, command=None)
    facts = Facts("m0", is_spot=True)
    machine = machines.start("m0", site.admit(request, 0).encode(), facts)
    wait_until(lambda: b"waits\n" in machine.console())
    facts.update(**notice)
    wait_until(lambda: not machine.is_running())
    console = machine.console().decode()
    assert f"=== cnflow: preempted: {words}" in console
    assert "drains\n=== cnflow: exit code 0 ===" in console
    assert words in site.report_of(request.name, 0)


@pytest.fixture
def relayed(machines):
    """Makes a port of this machine reachable for machines: ``relayed("127.0.0.1:1")`` is the address for them."""
    relays = []

    def relay(to):
        host, _, port = to.partition(":")

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection((host, int(port))) as far:
                    back = threading.Thread(target=copy, args=(far, self.request), daemon=True)
                    back.start()
                    copy(self.request, far)
                    back.join()

        relays.append(socketserver.ThreadingTCPServer((machines.gateway, 0), Handler))
        relays[-1].daemon_threads = True
        threading.Thread(target=relays[-1].serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"{machines.gateway}:{relays[-1].server_address[1]}"

    yield relay
    for each in relays:
        each.shutdown()
        each.server_close()


def copy(near, far):
    with contextlib.suppress(OSError):
        while piece := near.recv(65536):
            far.sendall(piece)
        far.shutdown(socket.SHUT_WR)


@pytest.fixture
def private_image(registries, engine, image_base):
    """Name of an image with Python in a registry with a password."""
    name = registries.name(registries.password)
    engine.images.get(image_base).tag(name.rpartition(":")[0], "1")
    registries.push(name, auth_config=registries.login)
    return name


@pytest.mark.registry
def test_manager_runs_in_a_container_of_an_image_that_needs_a_login(
    make_site, boot, tmp_path, registries, relayed, private_image
):
    address = relayed(registries.password)
    lines = f'[[registry]]\\nlocation="{address}"\\ninsecure=true\\n'
    plain_http = f"printf '{lines}' >/etc/containers/registries.conf.d/test.conf"
    site = make_site(runtime="podman", user_data=plain_http, startup_timeout=120)
    login = (registries.login["username"], Secret(value=registries.login["password"]))
    image = Image(private_image.replace(registries.password, address), credentials=login)
    console = boot(site.admit(request_of(tmp_path, command=None, image=image), 0))
    assert f"podman has pulled {image.name}" in console
    assert "the image's Python" in console
    assert "the interchange answers at none of 127.0.0.1" in console
    assert "=== cnflow: exit code 3 ===" in console
    assert registries.login["password"] not in console


@pytest.mark.long
def test_image_that_cannot_be_pulled_is_reported(make_site, boot, tmp_path):
    site = make_site(runtime="podman")
    image = Image("127.0.0.1:9/nobody/nothing:1", credentials=("me", Secret(value="S3CRET")))
    request = request_of(tmp_path, image=image)
    console = boot(site.admit(request, 0))
    assert "boot failed: podman cannot pull the image '127.0.0.1:9/nobody/nothing:1'" in console
    assert "connection refused" in site.report_of(request.name, 0)
    assert "S3CRET" not in console


@pytest.mark.long
def test_machine_without_engine_says_how_to_have_one(make_site, boot, tmp_path):
    site = make_site(runtime="docker")
    console = boot(site.admit(request_of(tmp_path, image=Image("app:1")), 0))
    assert "boot failed: the machine has no docker for image 'app:1': set install_runtime=True" in console
