"""Calls of loaded models: joined, split, found faulty by halves, in each form."""

import json
import math
import sys
from typing import ClassVar, NamedTuple, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import InvalidRowsError, PredictModuleError
from cnflow.tasks import loaded_models
from cnflow.tasks.models import Model, RowForm, parse_description
from cnflow.tasks.stopping import Cancelled
from cnflow.tasks.tensors import Tensor

VALUES, JSON, TENSORS, ROW = (int(form) for form in RowForm)


class Counting:
    """Doubles numbers, refuses texts, and counts the rows of its calls."""

    def __init__(self):
        self.sizes = []

    def predict(self, rows, scale=2):
        self.sizes.append(len(rows))
        return [scale * row + 0 for row in rows]


def batch(target, calls):
    model = Model(target=target)
    try:
        return model.call_batch(calls), model.load()
    finally:
        model.unload()


def test_calls_are_answered_by_one_predict_in_their_order():
    target = Counting()
    ends, _ = batch(target, [(VALUES, [1, 2], None), (ROW, 3, None), (JSON, b"[4]", None), (VALUES, [], None)])
    assert [end.value for end in ends] == [[2, 4], 6, b"[8]", []]
    assert target.sizes == [4]


def test_calls_of_other_parameters_are_not_joined():
    target = Counting()
    ends, _ = batch(target, [(VALUES, [1], None), (VALUES, [1], {"scale": 3}), (VALUES, [2], {"scale": 3})])
    assert [end.value for end in ends] == [[2], [3], [6]]
    assert target.sizes == [1, 2]


def test_calls_whose_parameters_are_equal_but_of_other_types_are_not_joined():
    calls = [(VALUES, [1], {"scale": scale}) for scale in (1, 1.0, True, 1)]
    ends, _ = batch(lambda rows, scale: [repr(scale) for _ in rows], calls)
    assert [end.value for end in ends] == [["1"], ["1.0"], ["True"], ["1"]]


def scaled(rows: list[int], scale: float = 1.0, mode: str | None = None):
    return [[scale * row, mode] for row in rows]


@pytest.mark.parametrize("has_pydantic", [True, False])
def test_option_of_another_type_is_refused_as_a_row_is(monkeypatch, has_pydantic):
    if not has_pydantic:
        monkeypatch.setattr("cnflow.tasks.image_packages.pydantic", lambda: None)
    model = Model(target=scaled)
    assert model(JSON, b"[1]", {"scale": 2, "mode": None}) == (b"[[2.0,null]]" if has_pydantic else b"[[2,null]]")
    with pytest.raises(InvalidRowsError, match=r"options\.scale: ") as caught:
        model(JSON, b"[1]", {"scale": "two"})
    assert [detail["loc"] for detail in caught.value.details] == [["options", "scale"]]
    with pytest.raises(InvalidRowsError, match=r"options\.scal: it has no such option; known: scale, mode"):
        model(JSON, b"[1]", {"scal": 2})


def test_options_of_the_graph_are_the_callers_own():
    assert Model(target=scaled)(VALUES, ["x"], {"scale": 2, "mode": [1]}) == [["xx", [1]]]


@given(st.lists(st.booleans(), max_size=20))
def test_call_that_the_model_refuses_fails_alone(bad):
    calls = [(ROW, "x" if is_bad else number, None) for number, is_bad in enumerate(bad)]
    ends, _ = batch(Counting(), calls)
    for number, (end, is_bad) in enumerate(zip(ends, bad, strict=True)):
        assert isinstance(end.error, TypeError) if is_bad else end == (2 * number, None)


def test_wrong_length_is_found_in_the_call_that_makes_it():
    ends, _ = batch(lambda rows: [row for row in rows if row != 7], [(VALUES, [1, 2], None), (VALUES, [7, 8], None)])
    assert ends[0].value == [1, 2]
    with pytest.raises(PredictModuleError, match="returned 1 results for 2 rows"):
        raise ends[1].error


@pytest.mark.parametrize("end", [SystemExit, Cancelled])
def test_end_of_the_process_or_a_stop_ends_the_whole_batch(end):
    def predict(rows):
        raise end

    with pytest.raises(end):
        batch(predict, [(ROW, 1, None), (ROW, 2, None)])


def test_arrays_of_one_shape_are_joined():
    numpy = pytest.importorskip("numpy")
    seen = []

    def predict(rows):
        seen.append(rows.shape)
        return rows.sum(axis=1)

    calls = [(VALUES, numpy.ones(shape), None) for shape in [(2, 3), (1, 3), (1, 4)]]
    ends, _ = batch(predict, calls)
    assert [end.value.tolist() for end in ends] == [[3, 3], [3], [4]]
    assert seen == [(3, 3), (1, 4)]


# JSON


def double(rows: list[float]) -> list[float]:
    return [2 * row for row in rows]


@pytest.mark.parametrize(
    ("body", "loc", "words"),
    [
        (b'[1, "a"]', [1], "number"),
        (b"[1, NaN]", [], "NaN is no JSON number"),
        (b"[1, 2e999]", [1], "too large"),
        (b"{}", [], "an object, not an array of rows"),
        (b"[1", [], "they are no JSON"),
        (b"\xff", [], "they are no JSON"),
        (b"[" * 100000, [], "they are no JSON"),
    ],
)
def test_wrong_json_is_refused_with_its_path(body, loc, words):
    with pytest.raises(InvalidRowsError) as refused:
        Model(target=double)(JSON, body)
    assert refused.value.details[0]["loc"] == loc
    assert words in str(refused.value)


@pytest.mark.parametrize(("body", "loc"), [(b'["a"]', [0]), (b"[1, [2]]", [1]), (b"[true]", [0]), (b"[null]", [0])])
def test_builtin_types_are_checked_without_pydantic(monkeypatch, body, loc):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(InvalidRowsError) as refused:
        Model(target=double)(JSON, body)
    assert refused.value.details[0]["loc"] == loc


def test_rows_of_a_pydantic_model_are_its_objects_and_errors_have_its_paths():
    pydantic = pytest.importorskip("pydantic")

    class Person(pydantic.BaseModel):
        age: int

    def predict(rows):
        return [{"older": person.age + 1} for person in rows]

    predict.__annotations__ = {"rows": list[Person], "return": list[dict[str, int]]}
    model = Model(target=predict)
    assert model(JSON, b'[{"age": 3}]') == b'[{"older":4}]'
    with pytest.raises(InvalidRowsError, match=r"rows\[1\]\.age"):
        model(JSON, b'[{"age": 3}, {"age": "x"}]')
    assert model.describe().row["properties"]["age"]["type"] == "integer"
    model.unload()


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_result_that_json_cannot_hold_is_named(value):
    with pytest.raises(PredictModuleError, match=r"result\[0\]\['score'\] is"):
        Model(target=lambda rows: [{"score": value} for _ in rows])(JSON, b"[1]")


class Pair(NamedTuple):
    left: int
    right: object


def test_results_of_many_types_are_json():
    results = [Pair(1, (2, 3)), {"a": {4}}, None, RowForm.JSON]
    assert json.loads(Model(target=lambda rows: results)(JSON, b"[0,0,0,0]")) == [
        {"left": 1, "right": [2, 3]},
        {"a": [4]},
        None,
        1,
    ]


def test_empty_rows_of_json_load_the_model_and_call_nothing():
    target = Counting()
    ends, _ = batch(target, [(JSON, b"[]", None)])
    assert ends[0].value == b"[]"
    assert target.sizes == []


# Tensors


def tensor(name, values, datatype="FP64", shape=None):
    import struct

    code = {"FP64": "d", "FP32": "f", "INT32": "i", "BOOL": "?"}[datatype]
    return Tensor(name, datatype, shape or (len(values),), struct.pack(f"<{len(values)}{code}", *values))


@pytest.mark.parametrize("has_numpy", [True, False])
def test_tensor_is_rows_and_results_are_a_tensor(monkeypatch, has_numpy):
    monkeypatch.setattr("cnflow.tasks.image_packages.has_numpy", lambda: has_numpy)
    if has_numpy:
        pytest.importorskip("numpy")
    model = Model(target=lambda rows: [[sum(row), 1.0] for row in rows])
    assert model(TENSORS, [tensor("x", [1, 2, 3, 4], "FP32", (2, 2))]) == [
        tensor("output", [3, 1, 7, 1], "FP64", (2, 2))
    ]


BF16 = Tensor("x", "BF16", (2, 2), b"\x80\x3f\x00\xc0\x80\x7f\x49\x40")  # 1.0, -2.0, infinity, 3.140625


@pytest.mark.parametrize("has_numpy", [True, False])
def test_tensor_of_bf16_is_numbers(monkeypatch, has_numpy):
    monkeypatch.setattr("cnflow.tasks.image_packages.has_numpy", lambda: has_numpy)
    if has_numpy:
        pytest.importorskip("numpy")
    seen = []
    Model(target=lambda rows: seen.extend(rows) or rows)(TENSORS, [BF16])
    assert seen == [[1.0, -2.0], [float("inf"), 3.140625]]
    with pytest.raises(InvalidRowsError, match="has 8 bytes, not 6"):
        Model(target=lambda rows: rows)(TENSORS, [BF16._replace(data=BF16.data[:6])])


def test_several_tensors_are_rows_by_name_and_dicts_are_several_tensors():
    model = Model(target=lambda rows: [{"sum": row["a"] + row["b"], "text": "é"} for row in rows])
    total, text = model(TENSORS, [tensor("a", [1, 2], "INT32"), tensor("b", [3, 4], "INT32")])
    assert (total.name, total.datatype, total.shape) == ("sum", "INT64", (2,))
    assert text == Tensor("text", "BYTES", (2,), b"\x02\0\0\0\xc3\xa9" * 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([Tensor("x", "FP64", (2,), b"")], "has 16 bytes, not 0"),
        ([Tensor("x", "FP99", (1,), b"")], "datatype 'FP99'; known"),
        ([Tensor("x", "BYTES", (2,), b"\x01\0\0\0a")], "does not have the 2 elements"),
        ([Tensor("x", "BYTES", (1,), b"\xff\xff\0\0a")], "does not have the 1 elements"),
        ([], "takes one tensor or more"),
        ([tensor("a", [1.0]), tensor("b", [1.0, 2.0])], "different numbers of rows"),
    ],
)
def test_wrong_tensors_are_refused(wrong, words):
    with pytest.raises(InvalidRowsError, match=words):
        Model(target=lambda rows: rows)(TENSORS, wrong)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=4))
def test_tensor_that_is_returned_as_it_came_has_the_same_values(rows):
    flat = [value for row in rows for value in row]
    came = tensor("x", flat, "FP64", (len(rows), 3))
    (returned,) = Model(target=lambda rows: rows)(TENSORS, [came])
    assert returned == came._replace(name="output")


# Loading


class Noisy:
    """Notes what is done with it."""

    events: ClassVar = []

    def __init__(self, fails=0):
        self.events.append("made")

    def setup(self):
        self.events.append("setup")
        if self.events.count("setup") < 2:
            raise ConnectionError("no weights yet")

    def predict(self, rows):
        return rows

    async def stream(self, row):
        for part in row:
            yield part

    def teardown(self):
        self.events.append("teardown")


def test_setup_that_raises_is_called_again_and_teardown_once():
    Noisy.events.clear()
    model = Model(target=Noisy)
    with pytest.raises(ConnectionError):
        model(VALUES, [1])
    assert model(VALUES, [1]) == model(VALUES, [1]) == [1]
    model.unload()
    model.unload()
    assert Noisy.events == ["made", "setup", "made", "setup", "teardown"]


def test_async_stream_of_json_is_bytes_of_each_piece():
    Noisy.events[:] = ["setup"]
    assert list(Model(target=Noisy).stream(JSON, b'[["a", {"b": 1}]]')) == [b'"a"', b'{"b":1}']


def test_stream_takes_one_row():
    Noisy.events[:] = ["setup"]
    with pytest.raises(InvalidRowsError, match="takes one row, not 2"):
        list(Model(target=Noisy).stream(JSON, b'["a", "b"]'))


def test_all_models_are_torn_down_at_the_end_also_after_one_that_raises(capsys):
    class Bad(Noisy):
        def teardown(self):
            raise ValueError("still busy")

    loaded_models.unload_all()
    Noisy.events[:] = ["setup", "setup"]
    for target in (Noisy, Bad):
        Model(target=target)(VALUES, [1])
    loaded_models.unload_all()
    assert Noisy.events.count("teardown") == 1
    assert "teardown() of Bad failed" in capsys.readouterr().err


def test_description_of_annotations_survives_the_wire():
    def predict(rows: list[list[float]], top: int = 3) -> list[str]:
        """Names things."""

    description = Model(target=predict).describe()
    assert parse_description(description.to_json())._asdict() == {
        **description._asdict(),
        "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}],
        "outputs": [{"name": "output", "datatype": "BYTES", "shape": [-1]}],
    }
    assert description.row == {"type": "array", "items": {"type": "number"}}
    assert description.options["properties"]["top"] == {"type": "integer", "default": 3}
    assert description.doc == "Names things."


def test_rows_of_a_typed_dict_are_checked_whichever_python_has_made_it():
    pytest.importorskip("pydantic")

    class Address(TypedDict, total=False):
        zip: int

    class Person(TypedDict):
        age: int
        homes: list[Address]

    def predict(rows):
        return [row["age"] for row in rows]

    predict.__annotations__ = {"rows": list[Person]}
    model = Model(target=predict)
    assert model(JSON, b'[{"age": 3, "homes": [{}]}]') == b"[3]"
    with pytest.raises(InvalidRowsError, match=r"rows\[0\]\.homes\[0\]\.zip"):
        model(JSON, b'[{"age": 3, "homes": [{"zip": "x"}]}]')
    assert model.describe().row["required"] == ["age", "homes"]
    model.unload()


def test_rows_that_pydantic_cannot_check_are_said_to_be_unchecked(capsys):
    pytest.importorskip("pydantic")

    class Odd:
        pass

    def predict(rows):
        return rows

    predict.__annotations__ = {"rows": list[Odd]}
    assert Model(target=predict)(JSON, b"[3]") == b"[3]"
    assert "its rows are not checked as annotated" in capsys.readouterr().err
