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
    assert raised.message == "(its __str__ failed: KeyError('x'))"


def test_an_error_of_cnflow_has_no_traceback_text():
    assert traceback_text(ConfigurationError("x")) == ""
    assert traceback_text(ValueError("x")) == "ValueError: x"
