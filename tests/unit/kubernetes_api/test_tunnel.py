"""Choice of the pod that a tunnel leads to."""

import pytest

from cnflow.kubernetes_api.errors import ClusterError
from cnflow.kubernetes_api.tunnel import choose_pod


def pod(name, created, ready="True", deleted=None):
    metadata = {"name": name, "creationTimestamp": created, **({"deletionTimestamp": deleted} if deleted else {})}
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_newest_ready_pod_is_chosen():
    pods = [
        pod("old", "2026-01-01T00:00:00Z"),
        pod("new", "2026-01-01T00:00:05Z"),
        pod("starting", "2026-01-01T00:00:09Z", ready="False"),
        pod("ending", "2026-01-01T00:00:08Z", deleted="2026-01-01T00:01:00Z"),
    ]
    assert choose_pod(pods, "a=b") == "new"


def test_no_ready_pod_is_an_error_with_the_next_step():
    with pytest.raises(ClusterError, match=r"a=b is ready, of 1\. See: kubectl get pods -l a=b"):
        choose_pod([pod("starting", "2026-01-01T00:00:09Z", ready="False")], "a=b")
