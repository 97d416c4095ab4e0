"""A server of models as its callers see it: what is right, and all that may be wrong with a request or a model."""

import json
import math
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

import cnflow
from cnflow import model_app
from cnflow.config import HighThroughputExecutor, LocalProvider, ModelConfig, ServeConfig
from cnflow.errors import ConfigurationError
from tests.served import predict, request

pytestmark = pytest.mark.timeout(180)

MODULES = {
    "nothing_here": "ANSWER = 42\n",
    "does_not_import": "import no_such_package\n\ndef predict(rows):\n    return rows\n",
    "too_short": "def predict(rows):\n    return rows[1:]\n",
    "never_ready": "import time\n\ndef setup():\n    time.sleep(600)\n\ndef predict(rows):\n    return rows\n",
}


@model_app
def total(rows: list[list[float]]) -> list[float]:
    """Sums of rows of numbers."""
    return [sum(row) for row in rows]


@model_app
def inverse(rows: list[float]) -> list[float]:
    """One over each number, and what is no number over nothing."""
    return [1 / row if row > 0 else float("nan") if row == 0 else 1 / (row - row) for row in rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serves right models and broken ones, to all tests of this module."""
    folder = tmp_path_factory.mktemp("serving")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    provider = LocalProvider(worker_init=f"export PYTHONPATH={folder}")
    executor, slow = (
        HighThroughputExecutor(label=label, provider=provider, max_workers=workers, cores_per_worker=0.1)
        for label, workers in (("fast", 2), ("slow", 1))
    )
    models = [
        ModelConfig(name="total", app=total),
        ModelConfig(name="inverse", app=inverse),
        *(ModelConfig(name=name, module=name) for name in ("nothing_here", "does_not_import", "too_short")),
        ModelConfig(name="absent", module="not_in_this_image"),
        ModelConfig(name="never_ready", module="never_ready", executor="slow", cold_timeout=1.0),
    ]
    config = ServeConfig(models=models, executors=[executor, slow], run_dir=str(folder / "runinfo"), strategy="none")
    limits = {"max_body": 10_000, "head_timeout": 1.0, "body_timeout": 1.0}
    with cnflow.Serve(config=config, port=0, **limits) as started:
        assert predict(started.url, "total", [[1, 2]]).status == 200
        yield started


def test_results_are_those_of_the_rows(server):
    answer = predict(server.url, "total", [[1, 2], [3], []])
    assert (answer.status, answer.json["results"]) == (200, [3, 3, 0])
    assert answer.headers["X-Request-Id"]


def test_concurrent_callers_get_their_own_results(server):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: predict(server.url, "total", [[n, n], [n]]).json["results"], range(200)))
    assert answers == [[2 * n, n] for n in range(200)]


def test_module_without_predict_is_named_and_what_it_lacks(server):
    answer = predict(server.url, "nothing_here", [1])
    assert answer.status in {500, 503}
    assert "predict" in answer.error[1]
    assert "nothing_here" in answer.error[1]


def test_module_that_is_not_there_is_named(server):
    answer = predict(server.url, "absent", [1])
    assert answer.status in {500, 503}
    assert "not_in_this_image" in answer.error[1]


def test_module_that_does_not_import_says_why(server):
    answer = predict(server.url, "does_not_import", [1])
    assert answer.status in {500, 503}
    assert "no_such_package" in answer.error[1]


def test_predict_that_returns_another_length_is_an_error_of_the_model(server):
    answer = predict(server.url, "too_short", [1, 2])
    assert answer.status == 500
    assert "2 rows" in answer.error[1]
    assert "1 result" in answer.error[1]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_number_that_json_does_not_have_is_refused(server, word):
    answer = request(server.url, "/v1/models/total:predict", b'{"rows": [[1, %s]]}' % word.encode())
    assert answer.status in {400, 422}, answer.body
    assert predict(server.url, "total", [[1]]).json["results"] == [1]


def test_result_that_json_does_not_have_is_no_silent_null(server):
    answer = predict(server.url, "inverse", [0])
    assert answer.status == 500, answer.body
    assert "nan" in answer.error[1].lower()


def test_row_that_fails_fails_alone(server):
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: predict(server.url, "inverse", [n]), [4, -1] * 50))
    assert {answer.status for answer in answers[1::2]} == {500}
    assert "ZeroDivisionError" in answers[1].error[1]
    assert [answer.json["results"] for answer in answers[::2]] == [[0.25]] * 50


@pytest.mark.parametrize(
    ("rows", "path"),
    [([["a"]], [0, 0]), ([[1], [2, "b"]], [1, 1]), ([7], [0]), ([[1], None], [1]), ([{"a": 1}], [0])],
)
def test_row_of_another_type_is_refused_with_its_path(server, rows, path):
    answer = predict(server.url, "total", rows)
    assert answer.status == 422, answer.body
    details = answer.json["error"]["details"]
    assert details[0]["loc"][-len(path) :] == path, details


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[1", b'{"rows": 3}', b'{"row": [1]}', b"null", b'{"rows": [1]} x', b"[" * 5000],
    ids=["empty", "cut", "no text", "open", "no list", "no rows", "null", "more", "deep"],
)
def test_body_that_is_no_list_of_rows_is_refused(server, body):
    answer = request(server.url, "/v1/models/total:predict", body)
    assert answer.status in {400, 422}, answer.body
    assert answer.error[1]


def test_body_that_is_too_large_is_refused(server):
    answer = predict(server.url, "total", [[1] * 10_000])
    assert answer.status == 413
    assert "max_body" in answer.error[1]


def test_model_that_is_not_known_is_refused_with_the_nearest_name(server):
    answer = predict(server.url, "totl", [[1]])
    assert answer.status == 404
    assert answer.error[0] == "model_not_found"
    assert "'total'" in answer.error[1]


def test_model_that_is_never_ready_is_waited_for_with_a_bound(server):
    begin = time.monotonic()
    answer = predict(server.url, "never_ready", [1])
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert 0.9 < time.monotonic() - begin < 20


def test_limit_of_a_caller_ends_its_wait_for_a_cold_model_in_words(server):
    answer = predict(server.url, "never_ready", [1], headers={"X-Request-Timeout": "0.4"})
    assert answer.status == 504
    assert int(answer.headers["Retry-After"]) >= 1
    code, words = answer.error
    assert code == "timeout"
    assert "no worker has loaded it yet" in words
    assert "the server's is 1 s" in words


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/models/total:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"]
)
def test_client_that_sends_too_slowly_is_let_go(server, sent):
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as slow:
        slow.sendall(sent or b"POST ")
        received = b""
        while data := slow.recv(4096):
            received += data
    assert not received or b" 408 " in received.partition(b"\r\n")[0]
    assert predict(server.url, "total", [[1]]).json["results"] == [1]


def test_wrong_datatype_of_the_protocol_is_refused(server):
    tensor = {"name": "rows", "shape": [1, 2], "datatype": "FP33", "data": [1, 2]}
    answer = request(server.url, "/v2/models/total/infer", {"inputs": [tensor]})
    assert answer.status == 400
    assert "FP33" in answer.json["error"]
    tensor = {"name": "rows", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3]}
    assert request(server.url, "/v2/models/total/infer", {"inputs": [tensor]}).status == 400


def test_protocol_answers_with_tensors(server):
    tensor = {"name": "rows", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
    answer = request(server.url, "/v2/models/total/infer", {"inputs": [tensor]})
    assert answer.status == 200, answer.body
    (output,) = answer.json["outputs"]
    assert [math.fsum([each]) for each in output["data"]] == [3, 7]


def test_description_has_the_types_of_the_functions(server):
    found = json.dumps(request(server.url, "/openapi.json").json)
    assert "/v1/models/total:predict" in found
    assert "Sums of rows of numbers" in found
    assert request(server.url, "/docs").status == 200


def test_two_models_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="two models are called 'total'"):
        ServeConfig(models=[ModelConfig(name="total", app=total), ModelConfig(name="total", app=inverse)])
