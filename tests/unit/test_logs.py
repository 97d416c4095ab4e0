import io
import logging

from cnflow.logs import set_file_logger, set_stream_logger


def test_lines_go_to_the_stream_from_the_level_on_until_undone():
    stream = io.StringIO()
    logger = logging.getLogger("cnflow.test")
    undo = set_stream_logger(level=logging.INFO, format_string="%(levelname)s %(message)s", stream=stream)
    logger.debug("quiet")
    logger.info("told")
    undo()
    logger.error("later")
    assert stream.getvalue() == "INFO told\n"


def test_lines_are_appended_to_a_file_in_a_new_folder(tmp_path):
    file = tmp_path / "new" / "cnflow.log"
    for _ in range(2):
        undo = set_file_logger(file, format_string="%(message)s")
        logging.getLogger("cnflow.test").debug("line")
        undo()
    assert file.read_text() == "line\nline\n"


def test_undoing_puts_the_level_back():
    logger = logging.getLogger("cnflow")
    before = logger.level
    set_stream_logger(level=logging.DEBUG, stream=io.StringIO())()
    assert logger.level == before
