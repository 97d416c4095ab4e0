"""Rights that are missing are told as the one rule to add."""

import pytest
import yaml

from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockRejectedError
from cnflow.kubernetes_api.errors import ApiRejectedError
from cnflow.providers.kubernetes import access
from cnflow.providers.kubernetes.access import Right

SERVER = "https://10.0.0.1:6443"


class AskedCluster:
    """Answers access reviews by a set of allowed ``(verb, resource)``, and knows some namespaces."""

    namespace, server, source = "team", SERVER, "context 'one' of config"

    def __init__(self, denied=(), namespaces=("team",), *, may_look=True):
        self.denied = set(denied)
        self.namespaces = namespaces
        self.may_look = may_look

    def request(self, method, path, body=None):
        if method == "POST":
            asked = body["spec"]["resourceAttributes"]
            assert asked["namespace"] == "team"
            resource = "/".join(part for part in (asked["resource"], asked["subresource"]) if part)
            return {"status": {"allowed": (asked["verb"], resource) not in self.denied}}
        if not self.may_look:
            raise ApiRejectedError(SERVER, 403, "Forbidden", "no", {})
        if path.rpartition("/")[2] not in self.namespaces:
            raise ApiRejectedError(SERVER, 404, "NotFound", "not found", {"kind": "namespaces"})
        return {}

    def list_all(self, path):
        class Listed:
            items = tuple({"metadata": {"name": name}} for name in self.namespaces)

        return Listed


def test_only_the_missing_verbs_are_reported():
    cluster = AskedCluster(denied={("create", "jobs"), ("get", "pods/log")})
    missing = access.find_missing(cluster, access.needed_rights(KubernetesProvider(), hosts_interchange=False))
    assert [(right.resource, right.verbs, right.is_optional) for right in missing] == [
        ("jobs", ("create",), False),
        ("pods/log", ("get",), True),
    ]
    words = access.missing_words(cluster, missing)
    assert "lacks rights in namespace 'team' of https://10.0.0.1:6443: blocks and the run's object" in words
    assert '- apiGroups: ["batch"]\n  resources: ["jobs"]\n  verbs: ["create"]' in words


def test_driver_in_the_cluster_needs_no_right_to_enter_pods():
    inside = {right.resource for right in access.needed_rights(KubernetesProvider(), hosts_interchange=False)}
    outside = {right.resource for right in access.needed_rights(KubernetesProvider(), hosts_interchange=True)}
    assert outside - inside == {"pods/exec", "services"}


def test_options_ask_for_their_rights():
    settings = KubernetesProvider(workload="pod", network_policy=True)
    rights = {right.resource: right.verbs for right in access.needed_rights(settings, hosts_interchange=False)}
    assert "create" in rights["pods"]
    assert "networkpolicies" in rights


def test_driver_whose_blocks_are_pods_needs_no_right_to_jobs():
    settings = KubernetesProvider(workload="pod")
    for hosts in (True, False):
        rights = access.needed_rights(settings, hosts_interchange=hosts)
        assert "jobs" not in {right.resource for right in rights}


def test_rights_of_blocks_and_interchange_are_those_of_the_role():
    settings = KubernetesProvider(network_policy=True)
    parts = [*access.block_rights(settings), *access.interchange_rights()]
    whole = access.needed_rights(settings, hosts_interchange=True)
    assert {(one.resource, verb) for one in parts for verb in one.verbs} == {
        (one.resource, verb) for one in whole for verb in one.verbs
    }
    assert len({one.resource for one in whole}) == len(whole)


def test_missing_namespace_is_refused_with_the_nearest_name():
    with pytest.raises(BlockRejectedError, match=r"no namespace 'team'\. Did you mean 'teams'\?\n.*kubectl create"):
        access.refuse_missing_namespace(AskedCluster(namespaces=("teams", "other")))


def test_user_who_may_not_look_at_namespaces_is_believed():
    access.refuse_missing_namespace(AskedCluster(may_look=False))


def test_refusal_in_the_middle_of_a_run_names_the_rule():
    words = (
        'jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch" in the namespace "team"'
    )
    explained = access.explain_refusal(ApiRejectedError(SERVER, 403, "Forbidden", words, {}))
    assert words in explained
    assert '- apiGroups: ["batch"]\n  resources: ["jobs"]\n  verbs: ["create"]' in explained


def test_refusal_that_no_rule_can_mend_is_quoted_alone():
    error = ApiRejectedError(SERVER, 403, "Forbidden", 'admission webhook "w" denied the request: no', {})
    assert access.explain_refusal(error) == str(error)


def test_role_is_valid_yaml_with_each_right_once():
    rights = [*access.needed_rights(KubernetesProvider(), hosts_interchange=True), Right("", "nodes", ("get",), "")]
    role, binding = yaml.safe_load_all(access.role_manifest("team", rights))
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "team")
    given = [
        (group, resource) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]
    ]
    assert sorted(given) == sorted({(right.group, right.resource) for right in rights})
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "cnflow", "namespace": "team"}]


def test_role_is_bound_to_the_user_as_the_cluster_names_it():
    account = {"kind": "ServiceAccount", "name": "cnflow", "namespace": "team"}
    assert access.subject_of("system:serviceaccount:team:cnflow") == account
    assert access.subject_of("jo@example.org") == {
        "kind": "User",
        "name": "jo@example.org",
        "apiGroup": "rbac.authorization.k8s.io",
    }
    assert access.subject_of("") is None
