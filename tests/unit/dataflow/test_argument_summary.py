"""Summaries of arguments: bounded, safe with any value, without passwords."""

import dataclasses
from concurrent.futures import Future

import pytest

from cnflow import File
from cnflow.dataflow.argument_summary import LONGEST, summarize_arguments


class Hostile:
    """Every way to look at it raises."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("repr")

    def __len__(self):
        raise RuntimeError("len")


@dataclasses.dataclass
class Point:
    x: int


SECRETS = "password=***, api_key=***, max_tokens=5, n={'db_secret': ***}"


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, ""),
        ((3, 1.5, None, True), {"name": "a"}, "3, 1.5, None, True, name='a'"),
        (([1, 2, 3, 4, 5, 6, 7],), {}, "[1, 2, 3, 4, 5, ... 2 more]"),
        (({"a": [1]}, {1}), {}, "{'a': [1]}, {1}"),
        ((b"12345", 2**200), {}, "<bytes of 5>, <int of 201 bits>"),
        (tuple(range(7)), {}, "0, 1, 2, 3, 4, ... 2 more"),
        ((Future(),), {}, "<future>"),
        (("https://ann:secret@host/x",), {}, "'https://***@host/x'"),
        ((File("https://ann:secret@host/x"),), {}, "'https://***@host/x'"),
        ((), {"password": "hunter2", "api_key": "k", "max_tokens": 5, "n": {"db_secret": "s"}}, SECRETS),
        ((), {"tokenizer": "bert", "key": "name"}, "tokenizer='bert', key='name'"),
        ((((((1,),),),),), {}, "(((<tuple of 1>)))"),
    ],
)
def test_arguments_are_shown_in_some_words(args, kwargs, words):
    assert summarize_arguments(args, kwargs) == words


def test_password_in_a_long_address_is_hidden_before_the_address_is_cut():
    token = "ghp_" + "0123456789" * 4
    words = summarize_arguments((f"https://x-access-token:{token}@github.example/lab/data.git",), {})
    assert words.startswith("'https://***@github.example/")
    assert "ghp" not in words


def test_object_of_the_user_is_its_type_and_none_of_its_code_runs():
    words = summarize_arguments((Hostile(), Point(1)), {})
    assert words == f"<{Hostile.__module__}.Hostile>, <{Point.__module__}.Point>"


def test_array_is_its_type_and_shape():
    numpy = pytest.importorskip("numpy")
    assert summarize_arguments((numpy.zeros((3, 4)),), {}) == "<numpy.ndarray (3, 4) float64>"


def test_long_arguments_are_cut():
    words = summarize_arguments(("x" * 1000,) * 5, {str(number): "y" * 100 for number in range(20)})
    assert len(words) == LONGEST
