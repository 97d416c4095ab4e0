import pytest

from cnflow.errors import ConfigurationError, MissingOutputs
from cnflow.model.task import RunOptions
from cnflow.tasks.call import PYTHON, Call, check_outputs, describe_exception, traceback_text


def test_outputs_that_do_not_exist_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    outputs = [str(tmp_path / name) for name in ("file", "folder", "dangling", "absent")]
    with pytest.raises(MissingOutputs) as caught:
        check_outputs(Call(PYTHON, "sort", len, (), {}, RunOptions(outputs=outputs)), 1)
    assert caught.value.outputs == outputs[2:]


def test_the_value_is_returned_if_all_outputs_exist(tmp_path):
    assert check_outputs(Call(PYTHON, "sort", len, (), {}, RunOptions(outputs=[str(tmp_path)])), 1) == 1


class UnprintableError(Exception):
    def __str__(self):
        raise KeyError("x")


def test_an_exception_that_can_be_neither_pickled_nor_printed_is_described_by_its_class():
    def dump(_):
        raise TypeError

    raised = describe_exception(UnprintableError(), dump)
    assert raised.exception == b""
    assert raised.type_name == "UnprintableError"
    assert raised.message == "(its __str__ failed: KeyError: 'x')"


class _CauseError(Exception):
    @property
    def __cause__(self):
        raise ValueError("no cause")


class _ExitError(Exception):
    def __str__(self):
        raise SystemExit(4)


class _EndlessError(Exception):
    def __getattr__(self, name):
        return getattr(self, name + "_")


class _NumberError(Exception):
    def __str__(self):
        return 5  # noqa: PLE0307 - as it is meant


class _Text(str):
    __slots__ = ()

    def __reduce__(self):
        raise SystemExit


class _TextError(Exception):
    def __str__(self):
        return _Text("text")


class _Meta(type):
    def __getattribute__(cls, name):
        if name in {"__name__", "__qualname__"}:
            raise SystemExit
        return super().__getattribute__(name)


class _NamelessError(Exception, metaclass=_Meta):
    pass


def _odd_syntax_error():
    error = SyntaxError("m")
    error.lineno, error.offset, error.text, error.filename = "x", "y", 5, 7
    return error


def _with_odd_notes():
    error = ValueError("x")
    error.__notes__ = [5, None, object()]
    return error


def _long_chain():
    error = None
    for number in range(5000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    return error


ODD = {
    "cause": (_CauseError, "_CauseError", ""),
    "exits in str": (_ExitError, "_ExitError", "(its __str__ failed: SystemExit: 4)"),
    "endless getattr": (_EndlessError, "_EndlessError", ""),
    "str of a number": (_NumberError, "_NumberError", "(its __str__ failed: TypeError"),
    "str of another class": (_TextError, "_TextError", "text"),
    "metaclass": (_NamelessError, "_NamelessError", ""),
    "syntax": (_odd_syntax_error, "SyntaxError", "m"),
    "notes": (_with_odd_notes, "ValueError", "x"),
    "chain": (_long_chain, "ValueError", "4999"),
    "surrogates": (lambda: ValueError("\udcff"), "ValueError", "\udcff"),
}


@pytest.mark.parametrize(("make", "name", "message"), ODD.values(), ids=ODD)
def test_error_that_is_hard_to_show_is_described_with_its_traceback(make, name, message):
    def fail():
        raise make()

    def refuse(_):
        raise SystemExit

    try:
        fail()
    except Exception as error:
        raised = describe_exception(error, refuse)
    assert raised.type_name == name
    assert type(raised.message) is str
    assert raised.message.startswith(message)
    assert "in fail" in raised.traceback_text


def test_an_error_of_cnflow_has_no_traceback_text():
    assert traceback_text(ConfigurationError("x")) == ""
    assert traceback_text(ValueError("x")) == "ValueError: x"
