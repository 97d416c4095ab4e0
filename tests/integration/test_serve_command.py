"""``cnflow serve``: real processes from a client's request to a worker and back."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cnflow import control_socket
from cnflow.cli import model_server
from cnflow.errors import ConfigurationError
from tests.served import ServeCommand
from tests.standing_pool import StandingPool
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

SHOP = """\
from cnflow import model_app

@model_app
def rate(rows):
    return [2 * row for row in rows]

@model_app
def slow(rows):
    import time
    time.sleep(3)
    return rows

@model_app
def stuck(rows):
    import time
    time.sleep(100 * rows[0])
    return rows

@model_app
def parent(rows):
    import os
    return [os.getppid() for row in rows]

@model_app
def triple(rows):
    return [3 * row for row in rows]
"""

VERSIONS = """\
[[models]]
name = "rate"

[[models.versions]]
version = "1"
app = "shop:rate"

[[models.versions]]
version = "2"
app = "shop:triple"
weight = 0
"""


@pytest.fixture
def serve(tmp_path):
    made = []

    def start(*arguments):
        (tmp_path / "shop.py").write_text(SHOP)
        made.append(ServeCommand(tmp_path, *arguments))
        return made[-1]

    yield start
    for server in made:
        server.close()


def test_app_of_a_module_answers_and_the_command_reports_and_drains_it(serve):
    server = serve("shop:rate")
    assert server.ask("rate", [1, 2.5]) == [2, 5.0]
    assert "rate   1" in server.command("status").stdout
    refused = server.command("roll", "rates", "2")
    assert refused.returncode == 2
    assert "Did you mean 'rate'?" in refused.stderr
    assert server.command("drain").returncode == 0
    assert server.process.wait(30) == 0


def test_front_that_is_killed_is_started_again(serve):
    server = serve("shop:rate", "--fronts", "2")
    assert server.ask("rate", [3]) == [6]
    before = {front["number"]: front["pid"] for front in server.status()["fronts"]}
    os.kill(before[min(before)], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(now := {front["pid"] for front in server.status()["fronts"]} - set(before.values())) != 1:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    assert [server.ask("rate", [n]) for n in range(20)] == [[2 * n] for n in range(20)]


def calls_of(server):
    return sum(each["in_flight"] for model in server.status()["models"] for each in model["versions"])


def states_of(server):
    return {model["name"]: model["versions"][0]["state"] for model in server.status()["models"]}


def test_calls_of_fronts_that_are_killed_end_at_once_and_another_try_is_answered(serve):
    server = serve("shop:stuck", "--fronts", "2")
    assert server.ask("stuck", [0]) == [0]
    errors = []

    def call():
        try:
            server.ask("stuck", [1])
        except OSError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    wait_until(lambda: calls_of(server) == 1, 30)
    for front in server.status()["fronts"]:
        os.kill(front["pid"], signal.SIGKILL)
    caller.join(30)
    assert len(errors) == 1
    wait_until(lambda: calls_of(server) == 0, 30)
    assert server.ask("stuck", [0]) == [0]


ZERO = """
max_idletime = 1.0

[[executors]]
kind = "high_throughput"
label = "cpu"
max_workers = 1

[executors.provider]
kind = "local"
init_blocks = 0
min_blocks = 0
max_blocks = 1

[[models]]
name = "rate"
app = "shop:rate"
warm = 0
cold_timeout = 60.0

[[models]]
name = "hasty"
app = "shop:slow"
warm = 0
cold_timeout = 0.2
"""


def test_model_without_workers_is_woken_by_a_call_that_waits_with_a_bound(serve, tmp_path):
    (tmp_path / "zero.toml").write_text(ZERO)
    server = serve("zero.toml", "--fronts", "2")
    assert states_of(server) == {"rate": "asleep", "hasty": "asleep"}
    with pytest.raises(urllib.error.HTTPError) as hasty:
        server.ask("hasty", [1])
    assert (hasty.value.code, json.load(hasty.value)["error"]["code"]) == (503, "model_cold")
    assert int(hasty.value.headers["Retry-After"]) >= 1
    assert server.ask("rate", [1, 2]) == [2, 4]
    wait_until(lambda: states_of(server)["rate"] == "asleep", 60)
    assert server.ask("rate", [3]) == [6]


def test_requests_that_were_accepted_are_answered_after_sigterm(serve):
    server = serve("shop:slow", "--fronts", "2")
    assert server.ask("slow", [0]) == [0]
    script = (
        "import json, sys, urllib.request as r\n"
        "print(json.load(r.urlopen(r.Request(sys.argv[1], b'{\"rows\": [7]}'), timeout=60))['results'])"
    )
    argv = [sys.executable, "-c", script, f"{server.url}/v1/models/slow:predict"]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    wait_until(server.is_busy, 30)
    assert client.poll() is None, "it was answered before it was seen"
    server.process.send_signal(signal.SIGTERM)
    assert client.communicate(timeout=60)[0] == "[7]\n"
    assert "has ended" in server.close()


@pytest.mark.parametrize(("fronts", "number"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_second_signal_ends_it_at_once_and_what_is_lost_is_counted(serve, fronts, number):
    server = serve("shop:stuck", "--fronts", fronts)
    assert server.ask("stuck", [0]) == [0]
    answers = []

    def ask():
        try:
            server.ask("stuck", [1])
        except urllib.error.HTTPError as error:
            with error:
                answers.append((error.code, json.load(error)["error"]["code"], error.headers["Retry-After"]))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    wait_until(lambda: server.is_busy(2), 30)
    server.process.send_signal(number)
    while "once more ends it at once" not in server.process.stderr.readline():
        assert server.process.poll() is None
    server.process.send_signal(number)
    for client in clients:
        client.join(30)
    assert answers == [(503, "shutting_down", "5")] * 2
    words = server.process.communicate(timeout=60)[1]
    assert "has lost 2 requests (stuck: 2)" in words
    assert "Traceback" not in words
    assert "pending" not in words, "a task was left behind"
    assert server.process.returncode == 1


def test_requests_that_outlast_the_drain_are_counted(serve, tmp_path):
    (tmp_path / "serve.toml").write_text('[[models]]\nname = "stuck"\napp = "shop:stuck"\n[http]\ndrain_timeout = 1\n')
    server = serve("serve.toml")
    assert server.ask("stuck", [0]) == [0]
    codes = []

    def ask():
        with pytest.raises(urllib.error.HTTPError) as error:
            server.ask("stuck", [1])
        with error.value:
            codes.append(json.load(error.value)["error"]["code"])

    client = threading.Thread(target=ask)
    client.start()
    wait_until(server.is_busy, 30)
    server.process.send_signal(signal.SIGTERM)
    client.join(30)
    assert codes == ["shutting_down"]
    assert "has lost 1 request (stuck: 1)" in server.close()
    assert server.process.returncode == 1


def test_commands_change_which_version_answers(serve, tmp_path):
    (tmp_path / "serve.toml").write_text(VERSIONS)
    server = serve("serve.toml")
    assert server.ask("rate", [1]) == [2]
    wait_until(lambda: all(each["state"] == "ready" for each in server.status()["models"][0]["versions"]), 60)

    def answers():
        return sorted(server.ask("rate", [1])[0] for _ in range(4))

    assert server.command("weights", "rate", "1=3", "2=1").returncode == 0
    assert answers() == [2, 2, 2, 3]
    rolled = json.loads(server.command("roll", "rate", "2", "--json").stdout)["models"][0]["versions"]
    assert {each["version"]: each["weight"] > 0 for each in rolled} == {"1": False, "2": True}
    assert answers() == [3] * 4
    assert "75%" in server.command("back", "rate").stdout
    assert answers() == [2, 2, 2, 3]
    assert "shadow" in server.command("shadow", "rate", "2=0.5").stdout
    refused = server.command("weights", "rate", "1=3", "3=1")
    assert refused.returncode == 2
    assert "has no version '3'" in refused.stderr
    assert "VERSION=SHARE" in server.command("weights", "rate", "2=many").stderr


def test_models_run_in_the_workers_of_a_pool(serve, tmp_path):
    with StandingPool(tmp_path) as pool:
        port = json.loads((pool.folder / "pool.json").read_text())["pools"][0]["clients_port"]
        server = serve("shop:parent", "--pool", f"tcp://127.0.0.1:{port}", "--pool-key", pool.key("ann"))
        [manager] = server.ask("parent", [1])
        blocks = json.loads(pool.run("status", str(pool.folder), "--json"))["pools"][0]["blocks"]
        assert len(blocks) == 1
        assert server.process.pid not in ancestors_of(manager)
        assert "has ended" in server.close()
        assert ancestors_of(manager), "workers of the pool stay"


def ancestors_of(pid):
    """Processes above *pid*; empty if it has ended."""
    found = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            break
        found.append(pid)
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop:rate", "--pool", "tcp://127.0.0.1:1"), "key"),
        (("shop:rate", "--pool-key", "none.json"), "--pool-key belongs to --pool"),
        (("shop:rate", "--pool", "http://pool"), "tcp://HOST:PORT"),
    ],
)
def test_pool_that_cannot_be_used_is_refused_in_words(tmp_path, arguments, words):
    (tmp_path / "shop.py").write_text(SHOP)
    argv = [sys.executable, "-m", "cnflow.cli", "serve", *arguments]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("shop:rates", "Did you mean 'rate'?"),
        ("shops:rate", "There is no module 'shops'"),
        ("shop", "neither a file of settings"),
        ("shop.py", "An app in it is served as shop:NAME"),
        ("shop:SHOP", "shop has no 'SHOP'"),
    ],
)
def test_target_that_is_none_is_refused_in_words(tmp_path, target, words):
    (tmp_path / "shop.py").write_text(SHOP)
    argv = [sys.executable, "-m", "cnflow.cli", "serve", target]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words in done.stderr


def test_port_that_is_taken_is_refused_in_words(serve, tmp_path):
    server = serve("shop:rate")
    port = server.url.rpartition(":")[2]
    argv = [sys.executable, "-m", "cnflow.cli", "serve", "shop:rate", "--port", port]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr


def test_server_that_is_busy_is_not_taken_for_none(tmp_path, monkeypatch):
    monkeypatch.setattr(control_socket, "_ANSWER_TIMEOUT", 0.3)
    is_over = threading.Event()
    server = control_socket.ControlServer(tmp_path, lambda _: {"answer": is_over.wait(20)})
    server.open()
    try:
        with pytest.raises(ConfigurationError, match="has not answered in time: it works at other changes"):
            model_server.ask(tmp_path, {"do": "back", "model": "rate"})
    finally:
        is_over.set()
        server.close()
