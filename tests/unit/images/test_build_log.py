"""What is read from the output of both builders."""

import pytest

from cnflow import Image
from cnflow.images.build_log import BuildLog
from cnflow.images.dockerfile import compile_step
from cnflow.images.failures import base_failure, build_failure
from cnflow.images.secrets import hide_secrets

STEPS = [
    compile_step(step, n) for n, step in enumerate(Image("b").copy_local("src", "/o").run("make it").recipe.steps, 1)
]

CLASSIC = """\
Step 1/3 : FROM b
 ---> fc0111bad866
Step 2/3 : COPY [".cnflow-copied/1/", "/o/"]
 ---> fc0111bad866
Step 3/3 : RUN make it
 ---> Running in 0b0832c1c075
make: nothing
""".splitlines()

BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:1a1f3b2ad7a3e731b518114a0ae80dd1331d16b59b8af3c93f88e08096cc1bbe
#1 transferring dockerfile: 549B done
#4 [1/3] FROM docker.io/library/b
#4 CACHED
#5 [2/3] COPY [.cnflow-copied/1/, /o/]
#5 DONE 0.1s
#6 [3/3] RUN make it
#6 ...
#7 [other 1/2] RUN wait
#6 [3/3] RUN make it
#6 0.410 make: nothing
#7 0.5 waiting
#6 ERROR: executor failed running [/bin/sh -c make it]: exit code: 2
------
 > [3/3] RUN make it:
0.410 make: nothing
------
ERROR: failed to solve: executor failed running [/bin/sh -c make it]: exit code: 2
""".splitlines()


def read(lines):
    log = BuildLog(STEPS)
    return log, [words for line in lines if (words := log.feed(line))]


def test_steps_are_named_as_the_user_wrote_them():
    wanted = ["step 1 of 2, copy_local('src', '/o')", "step 2 of 2, run('make it')"]
    assert read(CLASSIC)[1] == ["instruction FROM b", *wanted]
    assert read(BUILDKIT)[1] == ["instruction FROM docker.io/library/b", *wanted, "instruction RUN wait"]


@pytest.mark.parametrize("lines", [CLASSIC, BUILDKIT], ids=["classic", "BuildKit"])
def test_failed_step_is_known_with_its_last_lines(lines):
    log, _ = read(lines)
    assert log.failed_step == "step 2 of 2, run('make it')"
    assert log.tail == ["make: nothing"] or log.tail == [" ---> Running in 0b0832c1c075", "make: nothing"][1:]


def test_failure_before_any_step_belongs_to_none():
    log, _ = read(
        ["#1 [internal] load build definition from Dockerfile", "ERROR: failed to solve: dockerfile parse error line 1"]
    )
    assert (log.failed_step, log.why) == ("", "dockerfile parse error line 1")


@pytest.mark.parametrize(
    ("why", "tail", "advice"),
    [
        ("exit code: 1", ["ERROR: No matching distribution found for sixx"], "Correct the name or version"),
        ("write /x: no space left on device", [], "cnflow image prune"),
        ("dockerfile parse error line 1: unknown instruction: FROMX", [], "not valid"),
        ("COPY failed: file not found in build context", [], "its context does not have"),
        ("exit code: 1", ["SSLError: CERTIFICATE_VERIFY_FAILED"], "pip.crt"),
        ("exit code: 2", ["make: *** no rule"], "Correct this step"),
    ],
    ids=["package", "disk", "syntax", "copy", "certificate", "other"],
)
def test_error_names_step_last_lines_and_what_to_do(why, tail, advice):
    text = str(build_failure("cnflow/x:1", "step 1 of 2, run('make')", why, tail, "/log"))
    assert text.startswith(f"Building image cnflow/x:1 failed at step 1 of 2, run('make'): {why}")
    assert all(line in text for line in tail)
    assert advice in text
    assert text.endswith("The whole log is /log.")


def test_missing_base_leads_to_bases_without_a_registry():
    text = str(base_failure("cnflow/x", "python:3.11-slim", "no such host"))
    assert "'python:3.11-slim' is not here" in text
    assert "CNFLOW_BASE_IMAGE" in text


def test_secret_that_a_step_prints_is_hidden_line_by_line():
    assert hide_secrets("got hush-hush, and ab", [b"hush-hush\nsecond-line", b"ab"]) == "got [secret], and ab"
