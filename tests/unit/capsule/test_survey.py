import json
import subprocess
import sys
from dataclasses import replace

import pytest

from cnflow.capsule import PROBE_OPTIONS, parse_probe
from cnflow.capsule.survey import SURVEY_SCRIPT, FoundPython, ImageConfig, Survey, findings, parse_survey
from cnflow.model.finding import Verdict
from cnflow.model.image import Image

USUAL = Survey(shell="/bin/sh", user="root", home="/root", open_files=1024)


def test_script_reports_the_interpreter_that_runs_it_and_parses_back():
    command = [sys.executable, *PROBE_OPTIONS[:-1], PROBE_OPTIONS[-1] + SURVEY_SCRIPT]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    probe, survey = parse_probe(output), parse_survey(output)
    assert probe is not None
    assert survey is not None
    assert (survey.pythons[0].version, survey.pythons[0].path) == (probe.version, probe.executable)
    assert survey.packages["pydantic"]
    assert survey.shell
    assert survey.can_write_temporary
    assert parse_survey(f"greeting\n{survey.to_json()}\n[]") == survey
    assert parse_survey(probe.to_json()) is None
    assert parse_probe(survey.to_json()) is None


def test_survey_of_a_later_version_is_read_without_what_is_unknown():
    found = parse_survey(json.dumps({"survey": {"pythons": [["3.11.2", "/p", "CPython"]], "new": 1}}))
    assert found == Survey(pythons=(FoundPython("3.11.2", "/p", "CPython"),))


def test_configuration_of_an_image_is_parsed():
    config = {"User": "me", "Entrypoint": ["/e"], "Cmd": None, "WorkingDir": "/w", "Env": ["A=b=c", "D="]}
    assert ImageConfig.of(config, "amd64") == ImageConfig("me", ("/e",), (), "/w", {"A": "b=c", "D": ""}, "x86_64")
    assert ImageConfig.of({}) == ImageConfig()


def test_usual_image_has_no_findings():
    assert findings(USUAL, ImageConfig(), Image("a")) == []


@pytest.mark.parametrize(
    ("change", "verdict", "words", "advice"),
    [
        ({"shell": ""}, Verdict.ABSENT, "no shell", "Install bash"),
        ({"can_write_temporary": False}, Verdict.BAD, "no folder for temporary files", "'kind': 'tmpfs'"),
        ({"can_write_home": False}, Verdict.ABSENT, "cannot write to its home folder '/root'", "HOME"),
        ({"can_write_home": False, "home": ""}, Verdict.ABSENT, "has no home folder", "HOME"),
        ({"open_files": 8}, Verdict.BAD, "limit of open files is 8", "ulimits={'nofile': 1024}"),
    ],
    ids=["shell", "temporary", "home", "no home", "files"],
)
def test_what_will_not_work_is_found_with_advice(change, verdict, words, advice):
    (finding,) = findings(replace(USUAL, **change), ImageConfig(), Image("a"))
    assert (finding.about, finding.verdict) == ("image 'a'", verdict)
    assert words in finding.found
    assert advice in finding.advice


def test_entrypoint_that_is_replaced_is_mentioned():
    config = ImageConfig(entrypoint=("/enter",))
    assert "ENTRYPOINT ['/enter'] does not run" in findings(USUAL, config, Image("a"))[0].found
    assert findings(USUAL, config, Image("a", entrypoint="keep")) == []
