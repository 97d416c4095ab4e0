import asyncio
import logging

import pytest

from cnflow.serving.failure_log import PERIOD, FailureLog
from cnflow.serving.service import ServingError
from tests.unit.serving.world import World


def model_error(text="The model raised ValueError: bad"):
    return ServingError(text, 500, "model_error")


def test_failure_of_a_model_is_logged_with_its_request(caplog):
    FailureLog().on_failure("rent", "2", model_error(), 0.0, "r-1")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "a call of rent@2 failed (model_error, request r-1): The model raised ValueError: bad"


def test_failures_of_one_kind_are_counted_between_two_lines(caplog):
    log = FailureLog()
    for second in range(int(PERIOD)):
        log.on_failure("rent", "2", model_error(), float(second))
    log.on_failure("rent", "1", model_error(), 1.0)
    log.on_failure("rent", "2", ServingError("it has no predict", 500, "model_broken"), 1.0)
    assert len(caplog.records) == 3
    log.on_failure("rent", "2", model_error(), PERIOD)
    log.on_failure("rent", "2", model_error(), 2 * PERIOD)
    assert "(model_error; 9 more since the last such line)" in caplog.messages[3]
    assert "more" not in caplog.messages[4]


@pytest.mark.parametrize("status", [404, 422, 429, 503, 504])
def test_errors_of_callers_and_of_loads_are_not_logged_as_failures(caplog, status):
    FailureLog().on_failure("rent", "2", ServingError("no", status, "x"), 0.0)
    assert not caplog.records


def test_exception_of_the_model_is_logged_with_its_traceback(caplog):
    async def story():
        async with World() as world:
            answer = world.call()
            (sent,) = await world.sent(1)
            world.direct.end(sent, error=ValueError("bad row"))
            with pytest.raises(ServingError, match="bad row"):
                await answer

    asyncio.run(story())
    (record,) = [each for each in caplog.records if each.name == "cnflow.serving.failure_log"]
    assert record.exc_info[0] is ValueError
