"""Models and their versions as the answers of both APIs describe them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.serving.http.problems import BadRequestError
from cnflow.serving.public_words import public_words
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.serving.service import ModelStatus, VersionStatus

_ANSWERS = frozenset({"ready", "asleep"})
"""States of a version that answers a call; one that is asleep wakes."""

_STATES = {"ready": "READY", "asleep": "READY", "loading": "LOADING", "draining": "UNLOADING", "failed": "UNAVAILABLE"}
"""States as Triton's repository index has them."""


def find_model(models: Mapping[str, ModelStatus], name: str, version: str = "") -> ModelStatus:
    """Return a model, which has *version* if one is named.

    Raises:
        BadRequestError: with status 404 and the nearest name.
    """
    found = models.get(name)
    if found is None:
        known = sorted(models)
        hint = f"{did_you_mean(name, known)} Known: {', '.join(known)}." if known else " No model is served."
        raise BadRequestError(f"No model is called {name!r}.{hint}", "model_not_found", 404)
    versions = [each.version for each in found.versions]
    if version and version not in versions:
        hint = f"{did_you_mean(version, versions)} Known: {', '.join(versions)}."
        raise BadRequestError(
            f"Model {name!r} has no version {version!r}.{hint}",
            "version_not_found",
            404,
        )
    return found


def is_ready(model: ModelStatus, version: str = "") -> bool:
    """Return whether *version*, or any that gets calls, answers."""
    return any(
        each.state in _ANSWERS
        for each in model.versions
        if (each.version == version if version else not each.is_shadow)
    )


def described(model: ModelStatus, version: str = "") -> Mapping[str, Any]:
    """Return the description of *version*, or of the one with most weight that has one; empty if none is loaded."""
    versions = sorted(model.versions, key=lambda each: (not each.is_shadow, each.weight), reverse=True)
    for each in versions:
        if (not version or each.version == version) and each.description:
            return each.description
    return {}


def model_view(model: ModelStatus) -> dict[str, Any]:
    """Return *model* as ``/v1/models/NAME`` has it: KServe's V1 fields, then ours."""
    return {
        "name": model.name,
        "ready": is_ready(model),
        "versions": [_version_view(each) for each in model.versions],
    }


def metadata(model: ModelStatus, version: str = "") -> dict[str, Any]:
    """Return *model* as the Open Inference Protocol's metadata have it."""
    found = described(model, version)
    return {
        "name": model.name,
        "versions": [each.version for each in model.versions],
        "platform": "cnflow",
        "inputs": _tensors(found.get("inputs", ())),
        "outputs": _tensors(found.get("outputs", ())),
    }


def triton_config(model: ModelStatus, version: str = "") -> dict[str, Any]:
    """Return *model* as the configuration of Triton has it, as far as there is such a thing here."""
    found = described(model, version)
    return {
        "name": model.name,
        "platform": "cnflow",
        "backend": "python",
        "max_batch_size": int(found.get("max_batch", 0)),
        "input": [_config_tensor(each) for each in _tensors(found.get("inputs", ()))],
        "output": [_config_tensor(each) for each in _tensors(found.get("outputs", ()))],
    }


def repository_index(models: Mapping[str, ModelStatus]) -> list[dict[str, str]]:
    """Return all versions as Triton's repository index has them."""
    return [
        {
            "name": model.name,
            "version": each.version,
            "state": _STATES.get(each.state, "UNKNOWN"),
            "reason": public_words(each.reason),
        }
        for model in models.values()
        for each in model.versions
    ]


def _version_view(each: VersionStatus) -> dict[str, Any]:
    return {
        "version": each.version,
        "state": each.state,
        **({"reason": public_words(each.reason)} if each.reason else {}),
        "weight": each.weight,
        "shadow": each.is_shadow,
        "image": public_words(each.image),
        "digest": each.digest,
        "workers": each.workers,
        "in_flight": each.in_flight,
        "description": dict(each.description),
    }


def _tensors(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": each.get("name", ""), "datatype": each.get("datatype", ""), "shape": list(each.get("shape", ()))}
        for each in given
    ]


def _config_tensor(each: Mapping[str, Any]) -> dict[str, Any]:
    kind = "STRING" if each["datatype"] == "BYTES" else each["datatype"]
    return {"name": each["name"], "data_type": f"TYPE_{kind}", "dims": each["shape"]}
