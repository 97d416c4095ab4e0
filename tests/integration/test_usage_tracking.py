"""Usage statistics, received by a real socket on this machine."""

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

UNREACHABLE = "127.0.0.1:9"
ALWAYS_SENT = {"format", "event", "correlator", "tracking_level"}
SENT_AT_START = ALWAYS_SENT | {"cnflow_version", "python_version", "system", "release"}


@python_app
def divide(a, b):
    return a / b


@pytest.fixture
def receiver():
    """UDP socket on this machine: ``receiver.address``; ``receiver.message()`` waits for the next message."""

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
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def run_with(tmp_path, **options):
    return cnflow.load(Config(run_dir=str(tmp_path / "runs"), **options))


def test_run_without_usage_tracking_opens_no_network_socket(tmp_path):
    script = """
        import socket, sys
        seen = []
        def record(event, args):  # the socket file in the run's folder does not count: other machines cannot reach it
            is_file = event == "socket.__new__" and args[1] == socket.AF_UNIX
            is_file = is_file or (event == "socket.bind" and isinstance(args[1], str))
            if event.startswith("socket.") and not is_file:
                seen.append(event)
        sys.addaudithook(record)
        import cnflow
        with cnflow.load(cnflow.Config(usage_address="127.0.0.1:9")) as dfk:
            assert cnflow.python_app(abs)(-3).result() == 3
        print(seen)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_level_1_sends_versions_at_the_start_and_no_message_at_the_end(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=True, usage_address=receiver.address, project_name="tides"):
        sent = receiver.message()
    assert sent.keys() == SENT_AT_START | {"project_name"}
    assert (sent["cnflow_version"], sent["project_name"]) == (cnflow.__version__, "tides")
    assert receiver.is_silent()


def test_level_2_also_sends_the_classes_of_the_configuration(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=2, usage_address=receiver.address):
        sent = receiver.message()
    assert sent.keys() == SENT_AT_START | {"components"}
    assert sent["components"] == ["Config", "ThreadPoolExecutor"]
    assert receiver.is_silent()


def test_level_3_also_sends_the_end_with_counts_of_failures(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
        bad = divide(1, 0)
        futures = [divide(4, 2), bad, divide(bad, 1)]
        cnflow.wait_for_current_tasks()
        first = receiver.message()
    last = receiver.message()
    assert futures[0].result() == 2
    assert first.keys() == SENT_AT_START | {"components", "start", "user", "host", "script"}
    assert last.keys() == ALWAYS_SENT | {"end", "execution_time", "executors", "app_count", "app_fails"}
    assert (last["app_count"], last["app_fails"], last["executors"]) == (3, 2, 1)
    assert first["correlator"] == last["correlator"]
    assert last["end"] >= first["start"]
    assert 0 < last["execution_time"] < 60


def test_pseudonyms_contain_no_name_and_are_the_same_in_every_run_of_a_user(tmp_path, receiver):
    seen = []
    for _ in range(2):
        with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
            seen.append(receiver.message())
        receiver.message()
    names = [{name: message[name] for name in ("user", "host", "script")} for message in seen]
    assert names[0] == names[1]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names[0].values())
    secret = tmp_path / "home" / ".local" / "state" / "cnflow" / "usage-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert seen[0]["correlator"] != seen[1]["correlator"]


def test_no_pseudonyms_are_sent_if_the_secret_cannot_be_stored(tmp_path, receiver):
    (tmp_path / "home").write_text("no folder")
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address):
        assert receiver.message().keys() == SENT_AT_START | {"components", "start"}


def test_sent_messages_are_logged(tmp_path, receiver):
    with run_with(tmp_path, usage_tracking=3, usage_address=receiver.address, initialize_logging=True) as dfk:
        first = receiver.message()
    last = receiver.message()
    log = (dfk.run_dir / "cnflow.log").read_text()
    sent = [json.loads(line) for line in re.findall(rf"usage statistics sent to {receiver.address}: (.*)", log)]
    assert sent == [first, last]


@pytest.mark.parametrize("address", ["no-such-host.invalid:50077", UNREACHABLE, "[::1]:9"])
def test_run_continues_if_the_receiver_is_unreachable(address, tmp_path):
    with run_with(tmp_path, usage_tracking=3, usage_address=address):
        assert divide(4, 2).result() == 2


def test_message_that_json_cannot_encode_is_not_sent_and_the_log_reports_it(tmp_path, receiver):
    class Odd(ThreadPoolExecutor):
        def get_usage_information(self):
            return {"odd": object()}

    with run_with(
        tmp_path, executors=[Odd()], usage_tracking=2, usage_address=receiver.address, initialize_logging=True
    ) as dfk:
        assert receiver.is_silent()
    assert "usage statistics were not sent to" in (dfk.run_dir / "cnflow.log").read_text()


def test_message_never_exceeds_a_datagram(tmp_path, receiver):
    many = [ThreadPoolExecutor(label=f"t{number}") for number in range(4000)]
    config = Config(executors=many, usage_tracking=2, usage_address=receiver.address)
    assert len(json.dumps(usage_tracking.start_message(config, "c", 0.0))) > 65507
    usage_tracking.begin(config, dict)()
    assert receiver.message()["components"] == "too many"
