"""Refusals of an API server become errors by the reaction that they ask for."""

import json
import pickle

import pytest

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError
from cnflow.kubernetes_api.errors import api_error
from cnflow.model.block import Refusal, Refused

SERVER = "https://10.0.0.1:6443"


def answered(code, message="no", reason="Some", **details):
    status = {"kind": "Status", "code": code, "message": message, "reason": reason, "details": details}
    return api_error(SERVER, code, json.dumps(status).encode())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(403, 'pods "x" is forbidden: exceeded quota: rq, requested: pods=1'), Refusal.BUSY),
        (answered(429, "too many requests"), Refusal.BUSY),
        (answered(403, 'jobs.batch is forbidden: User "u" cannot create resource "jobs"'), Refusal.FOR_GOOD),
        (answered(403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'), Refusal.FOR_GOOD),
        (answered(422, "Job.batch is invalid: spec.template"), Refusal.FOR_GOOD),
        (answered(404, 'namespaces "t" not found', kind="namespaces", name="t"), Refusal.FOR_GOOD),
        (answered(403, "unable to create new content because it is being terminated"), Refusal.FOR_GOOD),
        (answered(404, 'jobs.batch "x" not found', kind="jobs", name="x"), Refusal.FAILED),
        (answered(500, "etcdserver: leader changed"), Refusal.FAILED),
    ],
    ids=str,
)
def test_refusal_has_the_class_of_its_reaction(error, kind):
    assert Refused.by(error).kind is kind
    assert isinstance(error, ProviderBusyError) is (kind is Refusal.BUSY)
    assert isinstance(error, BlockRejectedError) is (kind is Refusal.FOR_GOOD)
    assert isinstance(error, BlockError)


def test_error_quotes_the_server_and_survives_pickling():
    error = answered(409, "Job.batch exists", "AlreadyExists", kind="Job")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == f"The API server at {SERVER} refuses: Job.batch exists (409 AlreadyExists)"
    assert copy.details == {"kind": "Job"}


def test_only_a_right_that_rbac_can_give_is_missing():
    assert answered(403, 'pods is forbidden: User "u" cannot list resource "pods"').is_missing_right
    assert not answered(403, 'pods "x" is forbidden: exceeded quota: rq').is_missing_right
    assert not answered(403, 'admission webhook "w" denied the request: no').is_missing_right


def test_expired_credentials_name_the_next_step():
    assert "sign in again" in str(answered(401, "Unauthorized"))
    assert "sign in again" in str(answered(403, 'User "system:anonymous" cannot list resource "pods"'))


@pytest.mark.parametrize(
    ("status", "words", "what"),
    [
        (400, 'strict decoding error: unknown field "spec.x"', "field"),
        (400, 'Job in version "v1" cannot be handled as a Job: json: cannot unmarshal string into Go struct', "value"),
        (422, 'Job.batch "x" is invalid: spec.parallelism: Invalid value: -1', "value"),
    ],
)
def test_invalid_object_names_the_settings_that_are_sent_as_they_are(status, words, what):
    error = answered(status, words)
    assert f"{words} ({status} Some)\nCorrect that {what} in the provider's " in str(error)
    assert "patch=, affinity=, init_containers= or sidecars=" in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b"[1]", b'{"kind": "Status"}', b"null", b"\xff\xfe"]
)
def test_answer_of_a_proxy_is_quoted(body):
    error = api_error(SERVER, 502, body)
    assert error.status == 502
    assert str(error).startswith(f"The API server at {SERVER} refuses: ")
