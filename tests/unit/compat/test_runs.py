import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow.errors import NotCoveredError


@pytest.fixture
def dfk(tmp_path):
    import parsl

    with parsl.load(parsl.Config(run_dir=str(tmp_path))) as loaded:
        yield loaded


def double(n):
    return 2 * n


def test_a_record_says_the_state_by_parsls_names(dfk):
    from parsl import python_app
    from parsl.dataflow.states import FINAL_FAILURE_STATES, States

    done, failed = python_app(double)(2), python_app(double)(2, 3)
    assert done.result() == 4
    assert failed.exception()
    assert done.task_record["status"] is States.exec_done
    assert failed.task_record["status"] in FINAL_FAILURE_STATES


def test_a_task_that_asks_for_resources_is_refused_and_one_that_asks_for_none_is_run(dfk):
    from parsl import python_app

    app = python_app(double)
    assert app(2, parsl_resource_specification={}).result() == 4
    with pytest.raises(NotCoveredError, match=r"double\(parsl_resource_specification=\{'cores': 1\}\)"):
        app(2, parsl_resource_specification={"cores": 1})
