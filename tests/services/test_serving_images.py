"""Models of real images behind real HTTP: a network in NumPy, a pipeline of scikit-learn, a transformer."""

import json
import subprocess

import pytest

import cnflow
from cnflow import model_app
from cnflow.config import DockerProvider, HighThroughputExecutor, ModelConfig, ServeConfig
from tests.conftest import SERVING_CLIENTS
from tests.served import predict, request

pytestmark = [pytest.mark.docker, pytest.mark.serving, pytest.mark.timeout(300)]

IMAGES = ("digits-predict:0.1", "sklearn-digits:0.1", "minilm:0.1")
PLUS = {"classes": [0, 1], "weights": [[[1.0, 0.0], [0.0, 1.0]]], "biases": [[0.0, 0.0]]}
"""A model for digits_predict whose class is the larger of two pixels."""

TRITON = """
import json, sys
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1], network_timeout=120, connection_timeout=120)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sklearn-digits")
metadata = client.get_model_metadata("sklearn-digits")
zero = np.zeros((1, 64))
zero[0, [2, 3, 4, 10, 11, 13, 14, 18, 21, 22, 26, 29, 30, 34, 37, 38, 42, 45, 46, 50, 51, 53, 54, 59, 60]] = 12
found = {"name": metadata["name"], "server": client.get_server_metadata()["name"]}
for is_binary in (False, True):
    rows = triton.InferInput("rows", [3, 64], "FP32")
    rows.set_data_from_numpy(np.repeat(zero, 3, 0).astype(np.float32), binary_data=is_binary)
    wanted = [triton.InferRequestedOutput(metadata["outputs"][0]["name"], binary_data=is_binary)]
    answer = client.infer("sklearn-digits", [rows], outputs=wanted, request_id="seven")
    assert answer.get_response()["id"] == "seven"
    found[str(is_binary)] = answer.as_numpy(metadata["outputs"][0]["name"]).tolist()
text = triton.InferInput("rows", [2], "BYTES")
text.set_data_from_numpy(np.array(["a cat sat", "a kitten sits"], dtype=object))
answer = client.infer("minilm", [text])
found["text"] = answer.as_numpy(answer.get_response()["outputs"][0]["name"]).shape
try:
    client.infer("sklearn-digit", [rows])
except InferenceServerException as error:
    found["unknown"] = str(error)
print(json.dumps(found))
"""


@model_app(image="digits-predict:0.1")
class Larger:
    """Classes by a model that travels to the image."""

    def __init__(self, model):
        self.model = model

    def predict(self, rows):
        import digits_predict

        return digits_predict.predict(self.model, rows)


@pytest.fixture(scope="module")
def server(engine, tmp_path_factory):
    """Serves all three from their images, one worker each."""
    there = {tag for image in engine.images.list() for tag in image.tags}
    if missing := [name for name in IMAGES if name not in there]:
        pytest.fail(f"No images {', '.join(missing)}. Run: make images")
    models = [
        ModelConfig(name="larger", app=Larger.bind(PLUS)),
        ModelConfig(name="sklearn-digits", image="sklearn-digits:0.1", module="sklearn_digits"),
        ModelConfig(name="minilm", image="minilm:0.1", module="minilm"),
        ModelConfig(name="lacking", image="digits-predict:0.1", module="sklearn_digits", warm=0),
    ]
    executor = HighThroughputExecutor(provider=DockerProvider(), max_workers=1)
    folder = tmp_path_factory.mktemp("images")
    config = ServeConfig(models=models, executors=[executor], run_dir=str(folder), strategy="none")
    with cnflow.Serve(config=config, port=0) as started:
        started.wait_until_ready(150)
        yield started


def test_image_of_numpy_answers_with_a_model_that_came_along(server):
    answer = predict(server.url, "larger", [[5, 1], [1, 5]], timeout=120)
    assert (answer.status, answer.json["results"]) == (200, [0, 1])


def test_pipeline_of_scikit_learn_answers_and_refuses_a_wrong_row_alone(server):
    answer = predict(server.url, "sklearn-digits", [[0] * 64, [5] * 64], timeout=120)
    assert answer.status == 200, answer.body
    assert all(digit in range(10) for digit in answer.json["results"])
    wrong = predict(server.url, "sklearn-digits", [[0] * 63], timeout=120)
    assert wrong.status in {422, 500}
    assert "63" in wrong.error[1]


def test_transformer_finds_like_sentences(server):
    answer = predict(server.url, "minilm", ["a cat sat", "a kitten sits", "the market fell"], timeout=120)
    assert answer.status == 200, answer.body
    cat, kitten, market = answer.json["results"]
    assert likeness(cat, kitten) > 0.5
    assert likeness(cat, market) < 0.3


def likeness(one, other):
    return sum(map(lambda a, b: a * b, one, other))


def test_transformer_streams_words(server):
    predict(server.url, "minilm", ["warm"], timeout=120)
    answer = request(server.url, "/v1/models/minilm:stream", {"row": "a small cat"}, timeout=120)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    pieces = [json.loads(line[5:]) for line in answer.body.decode().splitlines() if line.startswith("data:")]
    assert [piece["word"] for piece in pieces if piece and "word" in piece] == ["a", "small", "cat"]


def test_image_that_lacks_the_module_is_named(server):
    answer = predict(server.url, "lacking", [[1]], timeout=120)
    assert answer.status in {500, 503}
    assert "sklearn_digits" in answer.error[1]
    assert "digits-predict:0.1" in answer.error[1]


def test_client_of_the_protocol_talks_to_it_unchanged(server):
    predict(server.url, "sklearn-digits", [[0] * 64], timeout=120)
    place = server.url.removeprefix("http://")
    done = subprocess.run(
        [SERVING_CLIENTS, "-c", TRITON, place], check=False, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["name"] == "sklearn-digits"
    assert found["text"] == [2, 384]
    assert found["False"] == found["True"]
    assert len(found["True"]) == 3
    assert "sklearn-digit" in found["unknown"]
