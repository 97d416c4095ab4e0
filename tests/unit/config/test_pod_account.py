"""Whether the service account of this pod leads to the cluster, and so where the interchange runs."""

import pytest

from cnflow.config import HighThroughputExecutor, KubernetesProvider, pod_account
from cnflow.config.interchange_place import ClusterSite, interchange_site

HOST = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.fixture
def account(tmp_path, monkeypatch):
    """Folder of a service account, as a pod has it."""
    (tmp_path / "token").write_text("t")
    monkeypatch.setattr(pod_account, "ACCOUNT_FOLDER", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("kubeconfig", "context", "variables", "expected"),
    [
        (None, None, HOST, True),
        (None, None, {}, False),
        ("/k", None, HOST, False),
        (None, "c", HOST, False),
        (None, None, {**HOST, "KUBECONFIG": "/k"}, False),
    ],
)
@pytest.mark.usefixtures("account")
def test_account_is_used_in_a_pod_without_a_kubeconfig(kubeconfig, context, variables, expected):
    assert pod_account.uses_account(kubeconfig, context, variables) is expected


def test_account_without_a_token_is_none(account):
    (account / "token").unlink()
    assert not pod_account.uses_account(None, None, HOST)


@pytest.mark.parametrize(
    ("variables", "place", "site"),
    [
        ({}, "auto", ClusterSite(is_local=False)),
        ({}, "driver", None),
        (HOST, "auto", None),
        (HOST, "site", ClusterSite(is_local=True)),
    ],
)
@pytest.mark.usefixtures("account")
def test_interchange_is_in_the_cluster_unless_the_driver_is(variables, place, site, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = HighThroughputExecutor(provider=KubernetesProvider(), image="a:1", interchange=place)
    assert interchange_site(settings) == site
