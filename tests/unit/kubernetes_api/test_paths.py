"""Paths of resources are those of the API."""

import pytest

from cnflow.kubernetes_api import paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (paths.pods("team"), "/api/v1/namespaces/team/pods"),
        (paths.pods("team", "a", "log"), "/api/v1/namespaces/team/pods/a/log"),
        (paths.jobs("team", "a"), "/apis/batch/v1/namespaces/team/jobs/a"),
        (paths.jobs(""), "/apis/batch/v1/jobs"),
        (paths.namespaces("team"), "/api/v1/namespaces/team"),
        (paths.secrets("a/../b", "c?d"), "/api/v1/namespaces/a%2F..%2Fb/secrets/c%3Fd"),
    ],
)
def test_path(path, expected):
    assert path == expected
