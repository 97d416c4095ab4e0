"""Words for callers over HTTP: no traceback, and no folder of a worker."""

import pytest

from cnflow.errors import PredictModuleError
from cnflow.model.task import Outcome
from cnflow.serving.failures import Attempts, decide
from cnflow.serving.public_words import public_words

TRACE = """m cannot be loaded by worker 0:
Traceback (most recent call last):
  File "/srv/app/model.py", line 3, in setup
    open(path)
    ~~~~^^^^^^
FileNotFoundError: [Errno 2] No such file or directory: '/opt/weights/net.bin'
Raised by setup() of model, in Python /usr/bin/python3."""


def test_traceback_leaves_its_last_lines_and_paths_their_last_names():
    assert public_words(TRACE) == (
        "m cannot be loaded by worker 0:\n"
        "FileNotFoundError: [Errno 2] No such file or directory: '…/net.bin'\n"
        "Raised by setup() of model, in Python …/python3."
    )


@pytest.mark.parametrize(
    "words",
    [
        "a ratio of 1/2 or km/h",
        "see https://host/a/b/c",
        "in image 'ghcr.io/me/app1:0.1'",
        "/v1 takes a list",
        "ValueError: no",
    ],
)
def test_other_words_stay_as_they_are(words):
    assert public_words(words) == words


def test_several_paths_and_those_of_windows_are_shortened():
    assert public_words("sys.path: /a/lib, /home/me/x; C:\\users\\me") == "sys.path: …/lib, …/x; …/me"


@pytest.mark.parametrize("error", [PredictModuleError("m: in Python /opt/venv/bin/python"), ValueError("/opt/venv/x")])
def test_answer_of_a_failed_call_has_no_path_and_its_cause_has_it(error):
    answer = decide(Outcome(1, None, error), Attempts(), retries=1, worker_retries=1)
    assert "/opt" not in str(answer)
    assert "…/" in str(answer)
