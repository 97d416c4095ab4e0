"""Clients of the Open Inference Protocol, unchanged, talk to the front on a real socket."""

import json
import subprocess

import pytest

from cnflow.config.http_front import HttpSettings
from cnflow.serving.http.server import HttpServer, build_app, listen
from tests.conftest import SERVING_CLIENTS
from tests.unit.serving.http.fake_service import EchoService

pytestmark = pytest.mark.serving

SCRIPT = """
import asyncio, itertools, json, sys
import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

address, key = sys.argv[1:]
headers = {"authorization": f"Bearer {key}"}
client = triton.InferenceServerClient(address, concurrency=4)
TYPES = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES".split()

def values_of(name):
    if name == "BYTES":
        return np.array([["\\u00fc".encode(), b""], [b"x", b"yy"]], dtype=object)
    return np.array([[0, 1], [1, 7]]).astype(triton_to_np_dtype(name))

def as_text(array):
    return [[each.decode() if isinstance(each, bytes) else each for each in row] for row in array.tolist()]

def asked(name, is_binary):
    values = values_of(name)
    given = triton.InferInput("x", list(values.shape), name)
    given.set_data_from_numpy(values, binary_data=is_binary)
    return given, values

wrong = []
for name, is_binary, wants_binary, encoding in itertools.product(
    TYPES, (True, False), (True, False, None), (None, "gzip", "deflate")
):
    given, values = asked(name, is_binary)
    outputs = None if wants_binary is None else [triton.InferRequestedOutput("x", binary_data=wants_binary)]
    found = client.infer(
        "iris", [given], outputs=outputs, request_id="r1", model_version="v2", timeout=5_000_000, priority=2,
        parameters={"top": 3}, headers=dict(headers),
        request_compression_algorithm=encoding, response_compression_algorithm=encoding,
    )
    array = found.as_numpy("x")
    said = found.get_response()
    is_same = as_text(array) == as_text(values) and array.dtype == values.dtype
    if not is_same or (said["id"], said["model_version"]) != ("r1", "v2"):
        wrong.append((name, is_binary, wants_binary, encoding))

def refused(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]

given, _ = asked("FP32", True)
together = [client.async_infer("iris", [given], headers=dict(headers)) for _ in range(8)]

async def other():
    async with triton_aio.InferenceServerClient(address) as client:
        return (await client.infer("iris", [given], headers=dict(headers))).as_numpy("x").tolist()

print(json.dumps({
    "wrong": wrong,
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": [client.is_model_ready(*each, headers=headers) for each in (("iris",), ("iris", "v2"), ("irs",))],
    "server": client.get_server_metadata(headers=headers)["name"],
    "model": client.get_model_metadata("iris", "v2", headers=headers)["inputs"],
    "config": client.get_model_config("iris", headers=headers)["input"],
    "index": [each["state"] for each in client.get_model_repository_index(headers=headers)],
    "together": [each.get_result().as_numpy("x").shape for each in together],
    "aio": asyncio.run(other()),
    "unknown": refused(lambda: client.infer("irs", [given], headers=dict(headers))),
    "no_key": refused(lambda: client.infer("iris", [given])),
    "output": refused(
        lambda: client.infer("iris", [given], outputs=[triton.InferRequestedOutput("y")], headers=dict(headers))
    ),
    "load": refused(lambda: client.load_model("iris", headers=headers)),
    "memory": refused(lambda: client.get_system_shared_memory_status(headers=headers)),
}))
"""


def test_triton_client_is_answered_as_by_triton():
    service = EchoService()
    settings = HttpSettings(port=0, api_keys={"ann": "ann-key-1"})
    server = HttpServer(build_app(service, settings), settings, [listen(settings)])
    server.start()
    try:
        command = [SERVING_CLIENTS, "-c", SCRIPT, f"127.0.0.1:{server.port}", "ann-key-1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, True, False])
    assert (found["server"], found["index"]) == ("cnflow", ["READY", "READY"])
    assert found["model"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert found["config"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 4]}]
    assert found["together"] == [[2, 2]] * 8
    assert found["aio"] == [[0, 1], [1, 7]]
    assert found["unknown"] == ["404", "No model is called 'irs'."]
    assert found["no_key"][0] == "401"
    assert found["output"] == ["400", "The model has no output 'y'. Its outputs: x."]
    assert found["load"][0] == "400"
    assert found["memory"][0] == "404"
    assert {(call.options.get("top"), call.timeout, call.is_bulk) for call in service.calls if call.version} == {
        (3, 5.0, True)
    }
