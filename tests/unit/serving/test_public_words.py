"""Words for callers over HTTP: no traceback, and no folder of a worker."""

import pytest

from cnflow.errors import PredictModuleError, SerializationError
from cnflow.model.task import Outcome
from cnflow.serving.failures import Attempts, decide
from cnflow.serving.http.models_view import model_view
from cnflow.serving.public_words import public_words
from cnflow.serving.service import ModelStatus, ServingError
from tests.unit.serving.http.fake_service import version_of
from tests.unit.serving.world import World, run

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


@pytest.mark.parametrize(
    ("words", "public"),
    [
        ("file:///home/ann/x.bin", "file://…/x.bin"),
        ("sqlite:////srv/a/b.db", "sqlite:///…/b.db"),
        ("cannot open:/home/ann/x.bin", "cannot open:…/x.bin"),
    ],
)
def test_path_after_a_colon_is_shortened(words, public):
    assert public_words(words) == public


FIELDS = """Traceback (most recent call last):
  File "/srv/app/model.py", line 3, in setup
    Options(
    ~~~~~~~^

        | names)
        ^^^^^^^^
ValidationError: 1 field is wrong
x
  Input should be a text
    For more, see https://errors.example/a/b"""

GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/srv/app/model.py", line 3, in setup
  |     raise ExceptionGroup(both)
  | ExceptionGroup: two loads failed (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: no weights
    +---------------- 2 ----------------
    | OSError: no device
    +------------------------------------"""

CHAINED = f"""Traceback (most recent call last):
  File "/srv/app/model.py", line 2, in setup
    1 / 0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

{GROUP}"""


@pytest.mark.parametrize(
    ("trace", "last"),
    [
        (FIELDS, FIELDS[FIELDS.index("ValidationError") :]),
        (GROUP, "ExceptionGroup: two loads failed (2 sub-exceptions)\n\nValueError: no weights\n\nOSError: no device"),
        (
            CHAINED,
            "ExceptionGroup: two loads failed (2 sub-exceptions)\n\nValueError: no weights\n\nOSError: no device",
        ),
    ],
)
def test_exception_of_several_lines_is_whole_and_has_no_frame(trace, last):
    assert public_words(f"m cannot be loaded:\n{trace}") == f"m cannot be loaded:\n{last}"


def test_several_paths_and_those_of_windows_are_shortened():
    assert public_words("sys.path: /a/lib, /home/me/x; C:\\users\\me") == "sys.path: …/lib, …/x; …/me"


@pytest.mark.parametrize("error", [PredictModuleError("m: in Python /opt/venv/bin/python"), ValueError("/opt/venv/x")])
def test_answer_of_a_failed_call_has_no_path_and_its_cause_has_it(error):
    answer = decide(Outcome(1, None, error), Attempts(), retries=1, worker_retries=1)
    assert "/opt" not in str(answer)
    assert "…/" in str(answer)


def test_image_of_a_file_has_no_folder():
    version = version_of(image="/home/ann/images/shop.sif")
    (shown,) = model_view(ModelStatus("shop", [version]))["versions"]
    assert shown["image"] == "…/shop.sif"


@run
async def test_call_that_cannot_be_sent_has_no_path():
    def refuse(*_, **__):
        raise SerializationError("Module /opt/shop/rates.py cannot be pickled.")

    async with World() as world:
        world.direct.submit = refuse
        with pytest.raises(ServingError, match=r"cannot be sent: .*Module …/rates\.py"):
            await world.call()
