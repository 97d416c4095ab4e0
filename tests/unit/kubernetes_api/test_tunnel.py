"""Choice of the pod that a tunnel leads to."""

import pytest

from cnflow.errors import MissingExtraError
from cnflow.kubernetes_api.errors import ApiRejectedError, ClusterError, ClusterRejectedError
from cnflow.kubernetes_api.pump import FAILED
from cnflow.kubernetes_api.tunnel import choose_pod, main
from cnflow.model.pool_settings import PIPE_MAY_STAND_SOON


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


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClusterError("no pod is ready"), PIPE_MAY_STAND_SOON),
        (ConnectionResetError(), PIPE_MAY_STAND_SOON),
        (ClusterRejectedError("no kubeconfig"), FAILED),
        (ApiRejectedError("https://api", 403, "Forbidden", "no right"), FAILED),
        (MissingExtraError("a", "kubernetes"), FAILED),
    ],
)
def test_tunnel_that_may_stand_soon_ends_with_a_code_of_its_own(monkeypatch, capsys, error, code):
    def connect(_):
        raise error

    monkeypatch.setattr("cnflow.kubernetes_api.tunnel.Cluster.connect", connect)
    monkeypatch.setattr("sys.argv", ["tunnel", "", "", "team", "a=b", "5002"])
    assert main() == code
    assert "cnflow: the tunnel to a=b, port 5002: " in capsys.readouterr().err
