"""Parsers of requests, fed with what was meant, with what nearly was, and with anything."""

import json
import math
import struct
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnflow.errors import ConfigurationError
from cnflow.serving.http import requests, tensor_data
from cnflow.serving.http.event_stream import event
from cnflow.serving.http.json_bodies import parse_predict, parse_stream, wrap_results
from cnflow.serving.http.keys import ApiKeys, parse_key_file
from cnflow.serving.http.problems import BadRequestError, problem_body
from cnflow.serving.http.request_body import decompress
from cnflow.serving.http.requests import Target, Verb
from cnflow.serving.http.tensor_bodies import infer_response, parse_infer
from cnflow.serving.service import ServingError
from cnflow.tasks.tensors import Tensor

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.lists(JSON, max_size=4), st.sampled_from(["", "rows", "instances"]), st.booleans())
def test_rows_are_passed_on_as_they_came(rows, field, is_ascii):
    body = json.dumps({field: rows} if field else rows, ensure_ascii=is_ascii, indent=1).encode("utf-8", "replace")
    found = parse_predict(body)
    assert found.row_count == len(rows)
    assert json.loads(found.rows) == json.loads(body)[field] if field else rows is not None
    answer = json.loads(wrap_results(found.rows, found.answer))
    assert answer == ({found.answer: json.loads(found.rows)} if field else json.loads(body))


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789rowsinstancNaI \n\\u', max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_refused(body):
    for parse in (parse_predict, parse_stream):
        try:
            found = parse(body)
        except BadRequestError:
            pass  # any other error fails the test
        else:
            assert len(json.loads(found.rows)) == found.row_count


@settings(max_examples=50)
@given(st.lists(JSON, min_size=1, max_size=3), st.data())
def test_damaged_body_is_never_misread(rows, data):
    body = json.dumps({"rows": rows}).encode()
    place = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:place] + data.draw(st.binary(max_size=2)) + body[place + 1 :]
    try:
        found = parse_predict(damaged)
    except BadRequestError:
        return
    assert len(json.loads(found.rows.decode())) == found.row_count


FLOATS = {"FP16": 16, "FP32": 32, "FP64": 64}
INTEGERS = {name: (int(name.lstrip("UINT")), name.startswith("U")) for name in tensor_data.SIZES if "INT" in name}


def elements_of(datatype):
    """Return a strategy of values of *datatype*."""
    if datatype in FLOATS:
        return st.floats(width=FLOATS[datatype], allow_nan=False, allow_infinity=False)
    if datatype in INTEGERS:
        bits, is_unsigned = INTEGERS[datatype]
        return st.integers(0, 2**bits - 1) if is_unsigned else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.booleans() if datatype == "BOOL" else st.text(max_size=5)


@st.composite
def tensors(draw):
    """Return datatype, shape, elements in order, and elements nested as the shape is."""
    datatype = draw(st.sampled_from([*FLOATS, *INTEGERS, "BOOL", "BYTES"]))
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    count = math.prod(shape)
    flat = draw(st.lists(elements_of(datatype), min_size=count, max_size=count))
    nested = flat
    for size in reversed(shape[1:]):
        nested = [nested[place : place + size] for place in range(0, len(nested), size)] if size else []
    return datatype, shape, flat, nested


@given(tensors(), st.booleans(), st.booleans())
def test_tensor_comes_back_as_it_went(tensor, is_nested, is_binary):
    datatype, shape, flat, nested = tensor
    entry = {"name": "x", "datatype": datatype, "shape": shape, "data": nested if is_nested else flat}
    body = json.dumps({"id": "7", "inputs": [entry], "parameters": {"binary_data_output": is_binary}}).encode()
    asked = parse_infer(body, None)
    assert (asked.row_count, asked.id, asked.is_binary) == (shape[0], "7", is_binary)
    content, length = infer_response("m", "v1", asked, asked.tensors)
    if is_binary:
        head = json.loads(content[:length])
        size = head["outputs"][0]["parameters"]["binary_data_size"]
        assert content[length:] == asked.tensors[0].data
        entry = {**entry, "parameters": {"binary_data_size": size}}
        del entry["data"]
        head = json.dumps({"inputs": [entry]}).encode()
        assert parse_infer(head + content[length:], len(head)).tensors == asked.tensors
    else:
        assert length is None
        assert json.loads(content)["outputs"] == [{"name": "x", "datatype": datatype, "shape": shape, "data": flat}]


@given(st.binary(max_size=80), st.none() | st.integers(-3, 90))
def test_any_bytes_are_tensors_or_refused(body, length):
    with pytest.raises(BadRequestError):
        parse_infer(body, length)


@given(
    st.fixed_dictionaries(
        {
            "name": st.text(max_size=3),
            "datatype": st.sampled_from(["FP32", "BYTES", "INT8", "fp32", ""]),
            "shape": st.lists(st.integers(-1, 2**62), max_size=3) | JSON,
        },
        optional={"data": JSON, "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "x"]), JSON)},
    ),
    st.binary(max_size=20),
)
def test_any_tensor_is_whole_or_refused(tensor, behind):
    head = json.dumps({"inputs": [tensor]}).encode("utf-8", "replace")
    try:
        asked = parse_infer(head + behind, len(head))
    except BadRequestError:
        return
    (found,) = asked.tensors
    tensor_data.check_binary("x", found.datatype, math.prod(found.shape), found.data)


def infer(tensor=None, behind=b"", **request):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], **(tensor or {})}
    head = json.dumps({"inputs": [{name: value for name, value in tensor.items() if value is not None}], **request})
    return parse_infer(head.encode() + behind, len(head.encode()))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ({"datatype": "FLOAT32"}, "no datatype 'FLOAT32'"),
        ({"shape": []}, "no dimension"),
        ({"shape": [1, 3]}, "shape has 3 elements, its data 2"),
        ({"data": ["a", "b"]}, "of FP32, and its data is not"),
        ({"data": [1e39, 0]}, "out of the range of FP32"),
        ({"data": None}, "neither data nor a binary_data_size"),
        ({"datatype": "INT8", "data": [128, 0]}, "out of the range of INT8"),
        ({"datatype": "INT8", "data": [1.5, 0]}, "of INT8, and its data is not"),
        ({"datatype": "UINT8", "data": [-1, 0]}, "out of the range of UINT8"),
        ({"datatype": "BOOL", "data": [1, 0]}, "of BOOL, and its data is not"),
        ({"datatype": "BYTES", "data": [1, 0]}, "of BYTES, and its data is not"),
        ({"datatype": "BF16"}, "BF16 has no JSON form"),
        ({"data": None, "parameters": {"binary_data_size": 8}}, "has 8 bytes of binary data, and 0 are left"),
        ({"data": None, "parameters": {"binary_data_size": "8"}}, "is a number of bytes, not '8'"),
        ({"data": None, "parameters": {"shared_memory_region": "r"}}, "shared_memory_region is not served"),
    ],
)
def test_tensor_that_is_wrong_is_explained(tensor, words):
    with pytest.raises(BadRequestError) as caught:
        infer(tensor)
    assert words in str(caught.value)
    assert "'x'" in str(caught.value)


def test_bytes_behind_the_last_tensor_are_refused():
    with pytest.raises(BadRequestError, match="3 bytes are behind"):
        infer(behind=b"abc")


def test_inputs_have_the_same_number_of_rows_and_names_of_their_own():
    one = {"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}
    for other, words in (({**one, "name": "y", "shape": [2], "data": [1, 2]}, "has 2 rows"), (one, "are called 'x'")):
        with pytest.raises(BadRequestError, match=words):
            parse_infer(json.dumps({"inputs": [one, other]}).encode(), None)


def test_parameters_that_the_protocol_does_not_know_are_the_models():
    asked = infer(parameters={"timeout": 2_500_000, "priority": 2, "temperature": 0.5, "binary_data_output": True})
    assert (asked.timeout, asked.is_bulk, asked.is_binary, asked.options) == (2.5, True, True, {"temperature": 0.5})
    assert infer(parameters={"priority": 1}).is_bulk is False
    with pytest.raises(BadRequestError, match="'timeout' is a number"):
        infer(parameters={"timeout": "soon"})


def test_tensors_that_can_be_stacked_are_kept_apart_from_others():
    assert infer().apart == infer({"shape": [2, 2], "data": [1, 2, 3, 4]}).apart
    assert infer().apart != infer({"shape": [2, 1]}).apart
    assert infer().apart != infer({"datatype": "FP64"}).apart
    assert infer().apart != infer({"name": "y"}).apart


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("datatype", "code"), [("FP16", "e"), ("FP32", "f"), ("FP64", "d")])
def test_output_that_json_cannot_say_is_refused_and_sent_as_binary(value, datatype, code):
    result = [Tensor("y", datatype, (1, 2), struct.pack(f"<2{code}", 1.0, value))]
    with pytest.raises(BadRequestError, match="NaN or infinity"):
        infer_response("m", "v", infer(), result)
    content, length = infer_response("m", "v", infer(parameters={"binary_data_output": True}), result)
    assert content[length:] == result[0].data


def test_wanted_outputs_come_in_their_order():
    results = [Tensor(name, "INT8", (1,), bytes([number])) for number, name in enumerate("abc")]
    asked = infer(outputs=[{"name": "c", "parameters": {"binary_data": True}}, {"name": "a"}])
    content, length = infer_response("m", "v", asked, results)
    outputs = json.loads(content[:length])["outputs"]
    assert [each["name"] for each in outputs] == ["c", "a"]
    assert (content[length:], outputs[1]["data"]) == (b"\x02", [0])


@given(st.binary(max_size=2000), st.sampled_from([b"gzip", b"deflate", b"GZIP"]))
def test_compressed_body_is_whole_or_refused(body, encoding):
    machine = zlib.compressobj(wbits=15 if encoding == b"deflate" else 31)
    packed = machine.compress(body) + machine.flush()
    assert decompress(packed, encoding, 2000) == body
    for damaged in (packed[:-1], packed + b"x", body):
        with pytest.raises(BadRequestError):
            decompress(damaged, encoding, 2000)


def test_bomb_is_stopped_at_the_limit():
    packed = zlib.compress(bytes(50_000_000))
    with pytest.raises(BadRequestError) as caught:
        decompress(packed, b"deflate", 1000)
    assert caught.value.status == 413
    with pytest.raises(BadRequestError) as caught:
        decompress(packed, b"br", 1000)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v1/models/iris:predict", Target(Verb.PREDICT, "iris", "")),
        ("/v1/models/iris@2f:stream", Target(Verb.STREAM, "iris", "2f")),
        ("/v1/models/iris/versions/2f:predict", Target(Verb.PREDICT, "iris", "2f")),
        ("/v2/models/a b/infer", Target(Verb.INFER, "a b", "")),
        ("/v2/models/iris/versions/1/infer", Target(Verb.INFER, "iris", "1")),
        ("/v2/models/iris@1/infer", Target(Verb.INFER, "iris", "1")),
        ("/v1/models/iris:train", None),
        ("/v1/models/:predict", None),
        ("/v1/models/a/b:predict", None),
        ("/v1/models/iris:predict\n", None),
        ("/v2/models/a@b@c/infer", None),
    ],
)
def test_address_names_model_version_and_verb(path, target):
    assert requests.call_target(path) == target


def test_addresses_from_outside_do_not_fill_the_memory():
    targets = requests.Targets()
    for number in range(5000):
        targets.find(f"/v1/models/{number}:predict")
    assert len(targets._known) <= 1024


@given(st.binary(max_size=200))
def test_event_carries_any_json_in_lines_of_its_own(data):
    text = event(data, b"end")
    assert text.endswith(b"\n\n")
    assert all(line.startswith((b"data: ", b"event: end")) for line in text[:-2].replace(b"\r", b"\n").split(b"\n"))


@given(st.text(), st.sampled_from([None, 0.5, 7]), st.booleans(), JSON)
def test_problem_is_json_whatever_it_says(message, retry_after, is_protocol, detail):
    error = ServingError(
        message.encode("utf-8", "replace").decode(), 429, "full", retry_after, [{"input": detail}, {"input": {1}}]
    )
    body = msgspec.json.decode(problem_body(error, "r1", is_protocol=is_protocol))
    assert (body["error"] if is_protocol else body["error"]["message"]) == str(error)


def test_key_file_names_its_wrong_line_and_never_the_key():
    assert parse_key_file("# all\n\nann secret-key-1\n  bob\tsecret-key-2  \n") == {
        "ann": "secret-key-1",
        "bob": "secret-key-2",
    }
    for text in ("ann", "ann secret-key-1 x", "ann secret-key-1\nann secret-key-2", "a/b secret-key-1", "ann short"):
        with pytest.raises(ConfigurationError, match="Line ") as caught:
            parse_key_file(text)
        assert "secret" not in str(caught.value)


def test_two_names_have_no_key_in_common(tmp_path):
    with pytest.raises(ConfigurationError, match="same API key"):
        ApiKeys({"ann": "secret-key-1", "bob": "secret-key-1"})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ApiKeys({}, str(tmp_path / "none"))
    (tmp_path / "keys").write_text("")
    keys = ApiKeys({}, str(tmp_path / "keys"))
    (tmp_path / "wrong").write_text("ann\n")
    with pytest.raises(ConfigurationError, match=r"wrong: Line 1 .* needs a name and a key"):
        ApiKeys({}, str(tmp_path / "wrong"))
    assert keys.are_needed
    assert keys.name_of({b"x-api-key": b""}) is None


@given(st.dictionaries(st.sampled_from([b"authorization", b"x-api-key"]), st.binary(max_size=30)))
def test_no_header_but_the_key_lets_in(headers):
    assert ApiKeys({"ann": "secret-key-1"}).name_of(headers) is None
