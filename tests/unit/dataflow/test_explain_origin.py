"""The line of `cnflow explain` on where a task ran."""

from dataclasses import replace

from cnflow.dataflow.explain_origin import line_on
from cnflow.model.provenance import Provenance

RAN = Provenance(
    3,
    "score",
    image="app1:0.1",
    digest="r/app1@sha256:00",
    image_id="sha256:11",
    host="n7",
    block="2",
    manager="ab",
    python="3.11.2",
    packages="0123",
    started=1000.0,
    ended=1002.5,
    attempts=1,
)


def test_the_line_names_place_image_python_and_times():
    line = line_on(RAN)
    assert line.startswith(
        "It ran on n7, block 2, manager ab, in image app1:0.1 (r/app1@sha256:00) with Python 3.11.2 and packages 0123, "
    )
    assert line.endswith(" for 2.5 s.")


def test_an_image_of_no_registry_goes_by_its_id():
    assert "app1:0.1 (sha256:11)" in line_on(replace(RAN, digest=""))


def test_a_task_in_the_driver_has_no_block():
    line = line_on(replace(RAN, block="", manager="", image="", packages="", started=None))
    assert line == "It ran on n7, in the driver, with Python 3.11.2."


def test_attempts_and_remembered_results_are_told():
    assert line_on(replace(RAN, attempts=3)).endswith(" It was begun 3 times.")
    assert line_on(replace(RAN, is_cached=True)).startswith("Its result was remembered from a task that ran on n7")


def test_nothing_is_said_of_a_task_that_did_not_run():
    assert line_on(Provenance(3, "score")) == ""
