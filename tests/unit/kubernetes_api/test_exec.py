"""Commands in pods: paths, exit codes, and a server that refuses."""

import json
import socket
import threading

import pytest

from cnflow.kubernetes_api.exec import ExecTarget, exec_path
from cnflow.kubernetes_api.websocket import StreamAddress, UpgradeRefusedError, connect, exit_code_of

TARGET = ExecTarget("team", "p-1", "cnflow")


@pytest.fixture
def server():
    """Server that sends one answer to whoever connects; a list of its requests, and the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen, answers = [], []

    def serve():
        end, _ = listener.accept()
        with end:
            seen.append(end.recv(65536).decode())
            end.sendall(answers[0])

    thread = threading.Thread(target=serve)
    yield seen, answers, f"http://127.0.0.1:{listener.getsockname()[1]}", thread.start
    thread.join(5)
    listener.close()


def test_path_of_a_command_quotes_its_words():
    path = exec_path(TARGET, ["sh", "-c", "echo a&b"], has_stdin=False)
    assert path.startswith("/api/v1/namespaces/team/pods/p-1/exec?container=cnflow&stdout=true&stderr=true&command=sh")
    assert path.endswith("&command=echo+a%26b")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"status": "Success"}, 0),
        (
            {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "message": "exit code 7",
                "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
            },
            7,
        ),
        ({"status": "Failure", "reason": "InternalError", "message": "no such file"}, -1),
        ({"status": "Failure", "reason": "NonZeroExitCode", "message": "?"}, -1),
        (["nonsense"], -1),
    ],
)
def test_exit_code_is_read_from_the_status(status, code):
    assert exit_code_of(json.dumps(status).encode())[0] == code


def test_an_unreadable_status_is_quoted():
    assert exit_code_of(b"<html>") == (-1, "<html>")


def test_a_refusal_has_the_words_of_the_server(server):
    seen, answers, url, start = server
    body = json.dumps({"message": "pods is forbidden", "reason": "Forbidden"}).encode()
    answers.append(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    start()
    with pytest.raises(UpgradeRefusedError, match="403: pods is forbidden") as caught:
        connect(StreamAddress(url, {"Authorization": "Bearer t"}), "/x?y=1", ["v5"], 5.0)
    assert caught.value.status == 403
    assert seen[0].startswith("GET /x?y=1 HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer t\r\n" in seen[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "no WebSocket's"),
        (b"", "before it had answered"),
    ],
)
def test_an_answer_of_something_else_is_an_error(server, answer, words):
    _, answers, url, start = server
    answers.append(answer)
    start()
    with pytest.raises(ConnectionError, match=words):
        connect(StreamAddress(url), "/x", ["v5"], 5.0)


def test_a_token_with_a_line_break_is_not_sent(server):
    _, answers, url, start = server
    answers.append(b"")
    start()
    with pytest.raises(ConnectionError, match="line break"):
        connect(StreamAddress(url, {"Authorization": "Bearer a\nb"}), "/x", ["v5"], 5.0)


def test_an_address_survives_the_pipe():
    address = StreamAddress("https://a:1", {"Authorization": "Bearer t"}, ca_file="/ca", is_verified=False)
    assert StreamAddress.from_json(address.to_json()) == address
