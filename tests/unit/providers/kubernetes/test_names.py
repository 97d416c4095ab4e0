"""Names and labels of objects: what the API server accepts, and different for different blocks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.ids import BlockId, RunId
from cnflow.model.block import block_name
from cnflow.providers.kubernetes.names import block_labels, label_value, object_name, run_labels, selector

DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


def test_name_of_a_block_stays_where_kubernetes_accepts_it():
    assert object_name("cnflow-3fa1-htex-0") == "cnflow-3fa1-htex-0"


@pytest.mark.parametrize(
    ("one", "other"), [("cnflow-a-Train-0", "cnflow-a-train-0"), ("x_1", "x.1"), ("n" * 60, "n" * 61)]
)
def test_names_that_kubernetes_would_hold_for_one_get_different_names(one, other):
    assert object_name(one) != object_name(other)


@given(st.text(max_size=90))
def test_object_name_leaves_room_for_what_the_job_controller_adds(text):
    name = object_name(text)
    assert DNS_1123.fullmatch(name)
    assert len(name) <= 52
    assert object_name(name) == name


@given(st.text(max_size=90))
def test_label_value_is_one_that_the_api_server_accepts(text):
    value = label_value(text)
    assert LABEL_VALUE.fullmatch(value)
    assert len(value) <= 63


@given(st.text("aA_.-", min_size=1, max_size=6), st.text("aA_.-", min_size=1, max_size=6))
def test_labels_of_different_executors_are_different(one, other):
    assert (label_value(one) == label_value(other)) is (one == other)


def test_labels_select_the_blocks_of_one_executor():
    labels = block_labels(RunId("3fa1"), "_x", BlockId("7"), "ann")
    assert labels["cnflow.org/block"] == "7"
    assert labels["cnflow.org/user"] == "ann"
    wanted = run_labels(RunId("3fa1"), "_x")
    assert wanted.items() <= labels.items()
    assert selector(wanted).startswith("app.kubernetes.io/managed-by=cnflow,cnflow.org/run=3fa1,cnflow.org/executor=x-")


def test_name_of_a_long_executor_is_cut_and_stays_unique():
    names = {object_name(block_name(RunId("3fa1"), "e" * 70, BlockId(str(number)))) for number in range(20)}
    assert len(names) == 20
