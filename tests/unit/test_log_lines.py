import json
import logging

import pytest

from cnflow.log_lines import JSONLog
from cnflow.run_logs.lines import as_json, as_text, lines_of_tasks, task_of

LOG = JSONLog({"run": "r", "executor": "htex", "block": "0", "host": ""})


def test_line_of_a_task_has_its_ids():
    made = LOG.of_worker(3)(b"predict[12]", b"hello\nw\xff")
    first, second = (json.loads(line) for line in made.splitlines())
    assert first.pop("timestamp").endswith("+00:00")
    assert first == {
        "task": 12,
        "app": "predict",
        "worker": 3,
        "run": "r",
        "executor": "htex",
        "block": "0",
        "message": "hello",
    }
    assert second["message"] == "w\\xff"


def test_line_between_tasks_has_the_worker_alone():
    fields = json.loads(LOG.of_worker(3)(b"worker 3", b"bye"))
    assert fields["worker"] == 3
    assert "task" not in fields


def test_record_has_level_and_the_text_of_its_exception():
    record = logging.LogRecord("cnflow.x", logging.WARNING, "x.py", 1, "lost %s", ("it",), None)
    fields = json.loads(LOG.formatter().format(record))
    assert (fields["level"], fields["name"], fields["message"]) == ("WARNING", "cnflow.x", "lost it")


TEXTS = [b"predict[12] | hello", b"worker 3 | bye"]
LINES = [LOG.of_worker(3)(b"predict[12]", b"hello"), LOG.of_worker(3)(b"worker 3", b"bye")]


@pytest.mark.parametrize(("text", "line"), list(zip(TEXTS, LINES, strict=True)))
def test_json_line_reads_as_the_line_of_a_text_log(text, line):
    assert as_text(line.rstrip()) == text
    assert as_text(text) == text
    assert task_of(line) == task_of(text)
    ours, theirs = as_json(text, {"executor": "htex", "block": "0"}), as_json(line, {})
    assert ours.items() <= {**theirs, "worker": 3}.items()


def test_dropped_lines_are_told_in_both_forms():
    for line in (LOG.dropped(5), b"(5 lines were dropped: the log could not be written)"):
        assert list(lines_of_tasks([line], 7)) == [line]
        assert as_text(line.rstrip()).startswith(b"(5 lines were dropped")


@pytest.mark.parametrize("line", [b'{"timestamp": "x", "task": 1', b"{}", b'{"a": 1}', b"[1]", b""])
def test_line_that_cnflow_has_not_made_is_as_it_is(line):
    assert as_text(line) == line
    assert as_json(line, {"block": "0"})["block"] == "0"
