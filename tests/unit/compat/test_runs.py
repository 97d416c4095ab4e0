import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow import Resources
from cnflow.compat.parsl.errors import InvalidResourceSpecification
from cnflow.compat.parsl.resources import parse_specification, pop_resources


@pytest.fixture
def dfk(tmp_path):
    import parsl

    with parsl.load(parsl.Config(run_dir=str(tmp_path))) as loaded:
        yield loaded


def double(n):
    return 2 * n


def test_task_record_has_the_state_by_parsls_names(dfk):
    from parsl import python_app
    from parsl.dataflow.states import FINAL_FAILURE_STATES, States

    done, failed = python_app(double)(2), python_app(double)(2, 3)
    assert done.result() == 4
    assert failed.exception()
    assert done.task_record["status"] is States.exec_done
    assert failed.task_record["status"] in FINAL_FAILURE_STATES


def test_call_takes_a_resource_specification(dfk):
    from parsl import python_app

    app = python_app(double)
    assert app(2, parsl_resource_specification={}).result() == 4
    assert app(2, parsl_resource_specification={"cores": 1, "memory": 100, "priority": 3}).result() == 4
    wrong = app(2, parsl_resource_specification={"disk": 1, "num_nodes": 2})
    with pytest.raises(InvalidResourceSpecification, match="is invalid at disk, num_nodes"):
        wrong.result()


def test_specification_is_in_megabytes_and_may_be_a_default():
    def train(x, parsl_resource_specification={"memory": 1, "cores": 2}):  # noqa: B006 - as in Parsl's documentation
        return x

    given = {"y": 1}
    assert pop_resources(train, given) == Resources(cores=2, memory=2**20)
    assert pop_resources(train, {"parsl_resource_specification": {"gpus": 1}}) == Resources(gpus=1)
    assert pop_resources(double, given) is None
    with pytest.raises(InvalidResourceSpecification, match="cores must be a number above 0"):
        parse_specification({"cores": 0})
