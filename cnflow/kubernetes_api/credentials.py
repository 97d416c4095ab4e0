"""Finds a cluster and the credentials for it: a kubeconfig's context, or the service account of this pod.

::

    kubeconfig= or context= ─────> that file, or the usual one
    $KUBECONFIG ─────────────────> that file; several, joined by ':', are merged
    inside a pod ────────────────> the pod's service account
    otherwise ───────────────────> ~/.kube/config
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kubernetes import client, config
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode

from cnflow.config.pod_account import ACCOUNT_FOLDER, uses_account
from cnflow.kubernetes_api.errors import ClusterRejectedError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_USUAL = "~/.kube/config"
_VARIABLE = "KUBECONFIG"
_CHOOSE = "Choose one: KubernetesProvider(context=...), or kubectl config use-context NAME."
_NAMESPACE_FILE = ACCOUNT_FOLDER / "namespace"


class ClusterAddress(NamedTuple):
    """Place of a cluster, as the settings say; two Nones inside a pod are the pod's service account."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    """None takes that of the context, or of the pod."""


class Credentials(NamedTuple):
    """Server of a cluster, and the user's credentials for it."""

    configuration: client.Configuration
    namespace: str
    source: str
    """Where the credentials are from, for messages."""

    is_inside: bool
    """They are those of the pod in which this process runs."""


def load_credentials(address: ClusterAddress, variables: Mapping[str, str] | None = None) -> Credentials:
    """Return what *address* leads to.

    Args:
        address: of the cluster.
        variables: of the environment; None takes those of this process.

    Raises:
        ClusterRejectedError: no kubeconfig, no such context, or a plugin that gives no credentials.
    """
    known = os.environ if variables is None else variables
    configured = address.kubeconfig or known.get(_VARIABLE, "")
    if uses_account(address.kubeconfig, address.context, known):
        return _of_service_account(address)
    return _of_kubeconfig(address, configured or _USUAL, "kubeconfig=" if address.kubeconfig else f"${_VARIABLE}")


def bearer_token(configuration: client.Configuration) -> str:
    """Return the content of the header ``Authorization``, a token that is refreshed if need be; empty without one.

    Clients before release 36 take one name, and their kubeconfigs' loader has always stored it as ``authorization``.
    """
    names = ("BearerToken", "authorization")
    return next(filter(None, map(configuration.get_api_key_with_prefix, names)), "")


def _of_service_account(address: ClusterAddress) -> Credentials:
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
        namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except (config.ConfigException, OSError) as error:
        raise ClusterRejectedError(
            f"This process runs in a pod whose service account cannot be used: {error}\n"
            "Give the pod a service account whose token is mounted (automountServiceAccountToken: true), or name a "
            "kubeconfig: KubernetesProvider(kubeconfig=...)."
        ) from error
    return Credentials(configuration, address.namespace or namespace, "the pod's service account", is_inside=True)


def _of_kubeconfig(address: ClusterAddress, paths: str, source: str) -> Credentials:
    files = os.pathsep.join(str(Path(path).expanduser()) for path in paths.split(os.pathsep) if path)
    if not any(Path(path).is_file() for path in files.split(os.pathsep)):
        named = f"{files} ({source})" if paths != _USUAL else files
        raise ClusterRejectedError(
            f"There is no kubeconfig at {named}, and this process does not run in a pod with a service account.\n"
            f"Name the file that your cluster gave you in {_VARIABLE} or KubernetesProvider(kubeconfig=...), and see "
            "that `kubectl get pods` works with it."
        )
    context = _find_context(files, address.context)
    configuration = client.Configuration()
    try:
        config.load_kube_config(files, context["name"], client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError) as error:
        raise _unreadable(files, error) from error
    _check_plugin(files, context, configuration)
    namespace = address.namespace or context["context"].get("namespace") or "default"
    return Credentials(configuration, namespace, f"context {context['name']!r} of {files}", is_inside=False)


def _find_context(files: str, name: str | None) -> dict[str, Any]:
    """Return context *name* of the kubeconfig, or its current one.

    Raises:
        ClusterRejectedError: there is none.
    """
    contexts = _section(files, "contexts")
    names = [str(one.get("name")) for one in contexts]
    wanted = name or str(_merged(files).get("current-context") or "")
    if wanted in names:
        return dict(contexts[names.index(wanted)])
    known = f"Known: {', '.join(names) or 'none'}."
    if not wanted:
        raise ClusterRejectedError(f"The kubeconfig {files} has no current context. {known}\n{_CHOOSE}")
    raise ClusterRejectedError(
        f"The kubeconfig {files} has no context {wanted!r}.{did_you_mean(wanted, names)} {known}\n"
        + ("Correct KubernetesProvider(context=...)." if name else _CHOOSE)
    )


def _check_plugin(files: str, context: Mapping[str, Any], configuration: client.Configuration) -> None:
    """See that an ``exec`` plugin gave credentials: the client writes its failure to the log and goes on without.

    Raises:
        ClusterRejectedError: it gave none.
    """
    users = [one for one in _section(files, "users") if one.get("name") == context["context"].get("user")]
    plugin = (users[0].get("user") or {}).get("exec") if users else None
    if not plugin or configuration.api_key or configuration.cert_file:
        return
    argv = " ".join([str(plugin.get("command")), *map(str, plugin.get("args") or ())])
    try:
        ExecProvider(ConfigNode("exec", plugin), str(Path(files.partition(os.pathsep)[0]).parent)).run()
        words = "it returned neither a token nor a certificate"
    except (config.ConfigException, OSError) as error:
        words = str(error)
        if plugin.get("installHint"):
            words += f"\n{str(plugin['installHint']).strip()}"
    raise ClusterRejectedError(
        f"Context {context['name']!r} of {files} takes its credentials from a program, which failed: {argv}\n{words}\n"
        "Run that command by hand, and sign in if it asks for it."
    )


def _section(files: str, name: str) -> Sequence[Mapping[str, Any]]:
    return [one for one in _merged(files).get(name) or () if isinstance(one, dict)]


def _merged(files: str) -> Mapping[str, Any]:
    """Return the content of the kubeconfig, merged if it is several files.

    Raises:
        ClusterRejectedError: it is no kubeconfig.
    """
    import yaml  # noqa: PLC0415 - comes with the client

    merged: dict[str, Any] = {}
    for path in files.split(os.pathsep):
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            items = content.items()
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise _unreadable(path, error) from error
        for key, value in items:
            if isinstance(value, list):
                merged[key] = [*merged.get(key, ()), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _unreadable(files: str, error: Exception) -> ClusterRejectedError:
    return ClusterRejectedError(
        f"The kubeconfig {files} cannot be used: {error}\nCompare it with `kubectl config view`, or fetch it anew from "
        "your cluster."
    )
