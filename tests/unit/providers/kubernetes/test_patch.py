"""Strategic merge patches: the rules of ``kubectl patch --type=strategic``, and what does not fit."""

import pytest

from cnflow.errors import ConfigurationError
from cnflow.providers.kubernetes.patch import merge

POD = {
    "metadata": {"labels": {"a": "1"}, "finalizers": ["x"]},
    "spec": {
        "restartPolicy": "Never",
        "tolerations": [{"key": "gpu"}],
        "containers": [
            {"name": "cnflow", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["a", "b"]},
            {"name": "log", "image": "busybox"},
        ],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
    },
}


def merged(spec):
    return merge(POD, {"spec": spec})["spec"]


def test_container_is_found_by_its_name():
    containers = merged({"containers": [{"name": "cnflow", "tty": True}]})["containers"]
    assert [each["name"] for each in containers] == ["cnflow", "log"]
    assert containers[0] == {**POD["spec"]["containers"][0], "tty": True}


def test_container_of_a_new_name_is_added():
    containers = merged({"containers": [{"name": "proxy", "image": "envoy"}]})["containers"]
    assert containers[-1] == {"name": "proxy", "image": "envoy"}
    assert len(containers) == 3


def test_variables_are_merged_by_name_within_a_container():
    patch = {"name": "cnflow", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}
    env = merged({"containers": [patch]})["containers"][0]["env"]
    assert [(each["name"], each["value"]) for each in env] == [("A", "1"), ("B", "3"), ("C", "4")]


def test_element_with_delete_is_removed():
    env = merged({"containers": [{"name": "cnflow", "env": [{"name": "A", "$patch": "delete"}]}]})["containers"][0][
        "env"
    ]
    assert env == [{"name": "B", "value": "2"}]


def test_null_deletes_a_field():
    assert "restartPolicy" not in merged({"restartPolicy": None})


def test_list_without_names_is_replaced():
    assert merged({"tolerations": [{"key": "spot"}]})["tolerations"] == [{"key": "spot"}]


def test_list_is_replaced_on_request():
    assert merged({"volumes": [{"$patch": "replace"}, {"name": "n", "hostPath": {}}]})["volumes"] == [
        {"name": "n", "hostPath": {}}
    ]


def test_table_is_replaced_on_request():
    made = merge(POD, {"metadata": {"labels": {"$patch": "replace", "b": "2"}}})
    assert made["metadata"]["labels"] == {"b": "2"}


def test_retained_keys_are_the_only_ones_left():
    patch = {"volumes": [{"name": "data", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/srv"}}]}
    assert merged(patch)["volumes"] == [{"name": "data", "hostPath": {"path": "/srv"}}]


def test_finalizers_are_joined_and_removed():
    assert merge(POD, {"metadata": {"finalizers": ["y", "x"]}})["metadata"]["finalizers"] == ["x", "y"]
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}
    assert merge(POD, removal)["metadata"]["finalizers"] == []


def test_ports_of_a_service_and_of_a_container_have_other_keys():
    service = {"spec": {"ports": [{"port": 80, "name": "a"}]}}
    assert merge(service, {"spec": {"ports": [{"port": 80, "name": "b"}]}})["spec"]["ports"] == [
        {"port": 80, "name": "b"}
    ]
    container = merged({"containers": [{"name": "log", "ports": [{"containerPort": 1}]}]})["containers"][1]
    assert container["ports"] == [{"containerPort": 1}]


def test_original_is_not_changed():
    before = repr(POD)
    merged({"containers": [{"name": "cnflow", "env": None}], "volumes": [{"name": "data", "$patch": "delete"}]})
    assert repr(POD) == before


def test_directives_do_not_reach_the_cluster():
    made = merge({}, {"spec": {"$patch": "merge", "new": {"$retainKeys": ["a"], "a": 1, "b": None}}})
    assert made == {"spec": {"new": {"a": 1}}}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"containers": {"name": "cnflow"}}, r"spec\.containers: must be a list, not"),
        ({"restartPolicy": ["Never"]}, r"spec\.restartPolicy: must be a single value, not"),
        ({"containers": [{"tty": True}]}, r"spec\.containers: each element needs 'name', by which it is found"),
        ({"containers": ["cnflow"]}, r"spec\.containers: must be a list of tables"),
        ({"$patch": "remove"}, r"spec: \$patch is one of merge, replace, delete, not 'remove'"),
        (
            {"$setElementOrder/containers": []},
            r"spec: \$setElementOrder/containers is no directive that cnflow follows",
        ),
        ({1: 2}, r"spec: names of fields are texts, not 1"),
        (
            {"containers": [{"name": "cnflow", "env": "A=1"}]},
            r"spec\.containers\[cnflow\]\.env: must be a list, not 'A=1'",
        ),
    ],
)
def test_patch_that_does_not_fit_names_the_field(spec, words):
    with pytest.raises(ConfigurationError, match=f"KubernetesProvider: patch: {words}"):
        merged(spec)
