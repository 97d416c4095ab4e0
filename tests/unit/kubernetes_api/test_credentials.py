"""A kubeconfig that leads to no cluster is refused with the user's next step."""

import pytest
import yaml

from cnflow.kubernetes_api.credentials import ClusterAddress, bearer_token, load_credentials
from cnflow.kubernetes_api.errors import ClusterRejectedError


@pytest.fixture
def write(tmp_path):
    def write(name="config", *, current="one", user=None, **context):
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": current,
            "clusters": [{"name": "c", "cluster": {"server": f"http://{name}:1"}}],
            "users": [{"name": "u", "user": {"token": "t"} if user is None else user}],
            "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", **context}}],
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def refusal(address, variables=()):
    with pytest.raises(ClusterRejectedError) as refused:
        load_credentials(address, dict(variables))
    return str(refused.value)


def test_namespace_is_that_of_the_settings_then_of_the_context_then_default(write):
    assert load_credentials(ClusterAddress(write(namespace="team"), None, "mine"), {}).namespace == "mine"
    assert load_credentials(ClusterAddress(write(namespace="team")), {}).namespace == "team"
    found = load_credentials(ClusterAddress(write()), {})
    assert (found.namespace, found.is_inside) == ("default", False)
    assert found.configuration.host == "http://config:1"
    assert bearer_token(found.configuration) == "Bearer t"


def test_option_wins_over_the_variable(write):
    variables = {"KUBECONFIG": write("other")}
    assert load_credentials(ClusterAddress(write("mine")), variables).configuration.host == "http://mine:1"
    assert load_credentials(ClusterAddress(), variables).configuration.host == "http://other:1"


def test_several_files_are_merged(write, tmp_path):
    both = f"{write('first')}:{tmp_path / 'missing'}:{write('second')}"
    assert load_credentials(ClusterAddress(), {"KUBECONFIG": both}).configuration.host == "http://first:1"


def test_missing_kubeconfig_is_named_with_its_source(tmp_path):
    path = str(tmp_path / "none")
    assert f"no kubeconfig at {path} (kubeconfig=)" in refusal(ClusterAddress(path))
    assert f"no kubeconfig at {path} ($KUBECONFIG)" in refusal(ClusterAddress(), {"KUBECONFIG": path})


def test_unknown_context_is_named_with_the_nearest(write):
    words = refusal(ClusterAddress(write(), "onn"))
    assert "no context 'onn'. Did you mean 'one'? Known: one.\nCorrect KubernetesProvider(context=...)." in words
    words = refusal(ClusterAddress(write(current="onn")))
    assert (
        "no context 'onn'. Did you mean 'one'? Known: one.\nChoose one: KubernetesProvider(context=...), or " in words
    )


def test_missing_current_context_is_told(write):
    assert "has no current context. Known: one." in refusal(ClusterAddress(write(current="")))


@pytest.mark.parametrize("content", ["[", "just words", "- a\n- b\n", "\x00"])
def test_file_that_is_no_kubeconfig_is_refused(tmp_path, content):
    path = tmp_path / "config"
    path.write_text(content)
    assert f"The kubeconfig {path} cannot be used" in refusal(ClusterAddress(str(path)))


def test_plugin_that_fails_is_quoted(write):
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", "echo please log in >&2; exit 3"],
        "installHint": "Install the thing.",
        "interactiveMode": "Never",
    }
    words = refusal(ClusterAddress(write(user={"exec": plugin})))
    assert "takes its credentials from a program, which failed: sh -c" in words
    assert "exec: process returned 3. please log in" in words
    assert "Install the thing." in words


def test_plugin_that_is_not_installed_is_named(write):
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin", "interactiveMode": "Never"}
    assert "No such file or directory: 'no-such-plugin'" in refusal(ClusterAddress(write(user={"exec": plugin})))


def test_plugin_gives_a_token(write):
    answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}'
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "echo",
        "args": [answer],
        "interactiveMode": "Never",
    }
    found = load_credentials(ClusterAddress(write(user={"exec": plugin})), {})
    assert bearer_token(found.configuration) == "Bearer fresh"
