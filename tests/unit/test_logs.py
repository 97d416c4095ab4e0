import io
import json
import logging

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import dump, load_config
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.logs import (
    FileLogging,
    JSONLogging,
    LogConfig,
    NoopLogging,
    set_file_logger,
    set_stream_logger,
    start,
)

logger = logging.getLogger("cnflow.test")


@python_app
def three():
    return 3


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_stream_logger_writes_lines_from_its_level_on_until_undone():
    stream = io.StringIO()
    undo = set_stream_logger(level=logging.INFO, format_string="%(levelname)s %(message)s", stream=stream)
    logger.debug("quiet")
    logger.info("told")
    undo()
    logger.error("later")
    assert stream.getvalue() == "INFO told\n"


def test_file_logger_appends_lines_to_a_file_in_a_new_folder(tmp_path):
    file = tmp_path / "new" / "cnflow.log"
    for _ in range(2):
        undo = set_file_logger(file, format_string="%(message)s")
        logger.debug("line")
        undo()
    assert file.read_text() == "line\nline\n"


def test_undo_of_a_stream_logger_restores_the_level():
    ours = logging.getLogger("cnflow")
    before = ours.level
    set_stream_logger(level=logging.DEBUG, stream=io.StringIO())()
    assert ours.level == before


def test_end_of_one_log_does_not_end_another():
    ours = logging.getLogger("cnflow")
    before, first, second = ours.level, io.StringIO(), io.StringIO()
    undo_first = set_stream_logger(level=logging.DEBUG, format_string="%(message)s", stream=first)
    undo_second = set_stream_logger(level=logging.INFO, format_string="%(message)s", stream=second)
    undo_first()
    logger.info("told")
    logger.debug("for nobody")
    undo_second()
    undo_second()
    assert (first.getvalue(), second.getvalue(), ours.level) == ("", "told\n", before)


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        (False, []),
        (NoopLogging(), []),
        (True, ["cnflow.log"]),
        (FileLogging(), ["cnflow.log"]),
        (JSONLogging(), ["cnflow.jsonl"]),
    ],
    ids=repr,
)
def test_run_has_the_log_of_its_config_and_no_other(wanted, files, tmp_path):
    with cnflow.load(Config(run_dir=str(tmp_path), initialize_logging=wanted)) as dfk:
        assert three().result() == 3
    logger.error("after its end")
    assert sorted(path.name for path in dfk.run_dir.glob("cnflow.*")) == files
    assert all("after its end" not in (dfk.run_dir / file).read_text() for file in files)


def test_log_has_the_lines_of_its_level_in_its_format(tmp_path):
    undo = start(FileLogging(level="WARNING", format_string="XX %(message)s"), tmp_path)
    logger.info("quiet")
    logger.warning("told")
    undo()
    assert (tmp_path / "cnflow.log").read_text() == "XX told\n"


def test_json_log_has_one_object_per_line_with_the_extras_of_cnflow(tmp_path):
    undo = start(JSONLogging(level="debug"), tmp_path)
    logger.debug("task %d", 7, extra={"cnflow.task_id": 7, "cnflow.tags": ["a"], "other": 1})
    logger.info("two\nlines \u2028", extra={"cnflow.odd": {1}, "cnflow.nan": float("nan"), "cnflow.key": {(1,): 2}})
    try:
        int("bad")
    except ValueError:
        logger.exception("failed")
    undo()
    task, odd, failed = lines_of(tmp_path / "cnflow.jsonl")
    assert task | {"cnflow.task_id": 7, "cnflow.tags": ["a"], "message": "task 7", "level": "DEBUG"} == task
    assert {"timestamp", "level", "name", "line", "message", "process", "thread"} < task.keys()
    assert "other" not in task
    assert task["timestamp"].endswith("+00:00")
    assert (odd["message"], odd["cnflow.odd"], odd["cnflow.nan"]) == ("two\nlines \u2028", "{1}", "nan")
    assert odd["cnflow.key"] == "{(1,): 2}"
    assert failed["exception"].endswith("invalid literal for int() with base 10: 'bad'")


def test_log_can_have_every_line_of_the_process(tmp_path):
    undo = start(JSONLogging(logger=""), tmp_path)
    logging.getLogger("somebody.else").info("told")
    undo()
    assert [line["name"] for line in lines_of(tmp_path / "cnflow.jsonl")] == ["somebody.else"]


class InMemory(LogConfig):
    """A way of the user's own."""

    kind: str = "in_memory"

    def handler(self, run_dir):
        made = logging.StreamHandler(streams[self.kind])
        made.setFormatter(logging.Formatter(f"{run_dir.name} %(message)s"))
        return made


streams = {"in_memory": io.StringIO()}


def test_log_config_of_a_users_class_makes_the_handler(tmp_path):
    with cnflow.load(Config(run_dir=str(tmp_path), initialize_logging=InMemory())) as dfk:
        logger.info("told")
    assert f"{dfk.run_dir.name} told\n" in streams["in_memory"].getvalue()


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
@pytest.mark.parametrize(
    "wanted",
    [True, False, FileLogging(format_string="%(message)s"), JSONLogging(level="DEBUG"), NoopLogging()],
    ids=repr,
)
def test_log_config_survives_a_file_and_back(wanted, suffix, tmp_path):
    config = Config(initialize_logging=wanted)
    file = tmp_path / f"c.{suffix}"
    file.write_text(getattr(dump, f"to_{suffix}")(config))
    assert load_config(file) == config


def test_level_in_a_configuration_file_is_written_in_either_case(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('initialize_logging = {kind = "json", level = "debug"}')
    assert load_config(file).initialize_logging == JSONLogging(level=10)


def test_unknown_log_kind_or_level_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'jsno'.*Did you mean 'json'"):
        Config(initialize_logging={"kind": "jsno"})
    with pytest.raises(ConfigurationError, match=r"no level is called 'INFOS'\. Did you mean 'INFO'\?"):
        FileLogging(level="INFOS")
    with pytest.raises(ConfigurationError, match=r"initialize_logging.*not 'json'"):
        Config(initialize_logging="json")
