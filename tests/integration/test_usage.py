"""Usage statistics, with a real socket on this machine that receives them."""

import json
import re
import socket
import subprocess
import sys
import textwrap

import pytest

import cnflow
from cnflow import Config, python_app, usage_tracking
from cnflow.config import ThreadPoolExecutor

NOBODY = "127.0.0.1:9"
TOLD_ALWAYS = {"format", "event", "correlator", "tracking_level"}
TOLD_AT_FIRST = TOLD_ALWAYS | {"cnflow_version", "python_version", "system", "release"}


@python_app
def divide(a, b):
    return a / b


@pytest.fixture
def receiver():
    """A UDP socket on this machine: ``receiver.address``, ``receiver.message()`` the next that comes."""

    class Receiver:
        def __init__(self, line):
            self.address = f"127.0.0.1:{line.getsockname()[1]}"
            self._line = line

        def message(self):
            self._line.settimeout(10)
            return json.loads(self._line.recv(65536))

        def is_silent(self):
            self._line.settimeout(0.2)
            try:
                return not self._line.recv(65536)
            except TimeoutError:
                return True

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        yield Receiver(line)


@pytest.fixture(autouse=True)
def _a_home_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def run_with(tmp_path, **options):
    return cnflow.load(Config(run_dir=str(tmp_path / "runs"), **options))


def test_a_run_that_tells_nothing_makes_no_socket_of_the_network(tmp_path):
    script = """
        import socket, sys
        seen = []
        def note(event, args):  # the socket file in the run's folder is none: other machines cannot reach it
            is_file = event == "socket.__new__" and args[1] == socket.AF_UNIX
            is_file = is_file or (event == "socket.bind" and isinstance(args[1], str))
            if event.startswith("socket.") and not is_file:
                seen.append(event)
        sys.addaudithook(note)
        import cnflow
        with cnflow.load(cnflow.Config(usage_address="127.0.0.1:9")) as dfk:
            assert cnflow.python_app(abs)(-3).result() == 3
        print(seen)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_at_level_1_versions_are_told_at_the_start_and_nothing_at_the_end(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=True, usage_address=receiver.address, project_name="tides"):
        told = receiver.message()
    assert told.keys() == TOLD_AT_FIRST | {"project_name"}
    assert (told["cnflow_version"], told["project_name"]) == (cnflow.__version__, "tides")
    assert receiver.is_silent()


def test_at_level_2_the_classes_of_the_configuration_are_told_too(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=2, usage_address=receiver.address):
        told = receiver.message()
    assert told.keys() == TOLD_AT_FIRST | {"components"}
    assert told["components"] == ["Config", "ThreadPoolExecutor"]
    assert receiver.is_silent()


def test_at_level_3_the_end_is_told_with_what_failed(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
        bad = divide(1, 0)
        futures = [divide(4, 2), bad, divide(bad, 1)]
        cnflow.wait_for_current_tasks()
        first = receiver.message()
    last = receiver.message()
    assert futures[0].result() == 2
    assert first.keys() == TOLD_AT_FIRST | {"components", "start", "user", "host", "script"}
    assert last.keys() == TOLD_ALWAYS | {"end", "execution_time", "executors", "app_count", "app_fails"}
    assert (last["app_count"], last["app_fails"], last["executors"]) == (3, 2, 1)
    assert first["correlator"] == last["correlator"]
    assert last["end"] >= first["start"]
    assert 0 < last["execution_time"] < 60


def test_pseudonyms_hold_no_name_and_are_the_same_in_every_run_of_a_user(tmp_path, receiver):
    seen = []
    for _ in range(2):
        with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
            seen.append(receiver.message())
        receiver.message()
    names = [{name: told[name] for name in ("user", "host", "script")} for told in seen]
    assert names[0] == names[1]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names[0].values())
    secret = tmp_path / "home" / ".local" / "state" / "cnflow" / "usage-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert seen[0]["correlator"] != seen[1]["correlator"]


def test_where_no_secret_can_be_kept_there_are_no_pseudonyms(tmp_path, receiver):
    (tmp_path / "home").write_text("no folder")
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
        assert receiver.message().keys() == TOLD_AT_FIRST | {"components", "start"}


def test_what_was_sent_stands_in_the_log(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address, initialize_logging=True) as dfk:
        first = receiver.message()
    last = receiver.message()
    log = (dfk.run_dir / "cnflow.log").read_text()
    sent = [json.loads(line) for line in re.findall(rf"usage statistics sent to {receiver.address}: (.*)", log)]
    assert sent == [first, last]


@pytest.mark.parametrize("address", ["no-such-host.invalid:50077", NOBODY, "[::1]:9"])
def test_a_run_goes_on_where_nobody_can_be_told(address, tmp_path):
    with run_with(tmp_path, usage_tracking=3, usage_address=address):
        assert divide(4, 2).result() == 2


def test_what_cannot_be_said_in_json_stays_here_and_the_log_says_so(tmp_path, receiver):
    class Odd(ThreadPoolExecutor):
        def get_usage_information(self):
            return {"odd": object()}

    with run_with(
        tmp_path, executors=[Odd()], usage_tracking=2, usage_address=receiver.address, initialize_logging=True
    ) as dfk:
        assert receiver.is_silent()
    assert "usage statistics were not sent to" in (dfk.run_dir / "cnflow.log").read_text()


def test_no_message_is_longer_than_a_datagram(tmp_path, receiver):
    many = [ThreadPoolExecutor(label=f"t{number}") for number in range(4000)]
    config = Config(executors=many, usage_tracking=2, usage_address=receiver.address)
    assert len(json.dumps(usage_tracking.start_message(config, "c", 0.0))) > 65507
    usage_tracking.begin(config, dict)()
    assert receiver.message()["components"] == "too many"
