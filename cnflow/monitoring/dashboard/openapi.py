"""Description of `/api/v1` in OpenAPI 3.1, made from the routes and from the values that they answer with."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from cnflow import __version__
from cnflow.monitoring.queries import views

_LIST = {
    "runs": views.RunView,
    "apps": views.AppView,
    "steps": views.Step,
    "samples": views.SampleView,
    "blocks": views.BlockView,
    "nodes": views.NodeView,
    "images": views.ImageView,
    "models": views.ModelView,
    "model_steps": views.ModelStep,
    "model_changes": views.ModelChange,
    "files": views.FileView,
    "errors": views.ErrorGroup,
    "bars": views.Bar,
    "usage": views.Usage,
}
"""Type of each element, by the last part of an address that answers with a list."""

_PARAMETERS: dict[str, tuple[str, str]] = {
    "text": ("string", "Searched in the texts of a row, whatever the case"),
    "state": ("string", "State, or several with commas"),
    "limit": ("integer", "Most rows of the answer"),
    "before": ("string", "Rows before this one: the id of a run, or the number of a task"),
    "after": ("integer", "Rows after the task of this number"),
    "app": ("string", "Name of the app"),
    "host": ("string", "Name of the node"),
    "image": ("string", "Image, as in its list"),
    "executor": ("string", "Label of the executor"),
    "error_group": ("string", "Id of a cause, as in the list of errors"),
    "points": ("integer", "Most points of the answer"),
    "start": ("number", "Unix time"),
    "end": ("number", "Unix time"),
    "model": ("string", "Name of the served model"),
    "version": ("string", "Version of the served model"),
    "grouping": ("string", "none, app, or app and state; empty chooses by size"),
}
_FILTER = ("state", "app", "host", "image", "executor", "error_group", "text")
_OF_ADDRESS: dict[str, tuple[str, ...]] = {
    "runs": ("text", "state", "limit", "before"),
    "steps": ("points", "app"),
    "tasks": (*_FILTER, "limit", "after", "before"),
    "samples": ("points",),
    "nodes": ("limit",),
    "model_steps": ("points", "model", "version"),
    "model_changes": ("limit",),
    "files": ("text", "limit", "after"),
    "errors": ("limit",),
    "bars": ("start", "end", "limit"),
    "graph": ("grouping", "limit"),
}
"""Parameters of the query, by the last part of the address."""


def document(addresses: dict[str, str], prefix: str) -> dict[str, Any]:
    """Return the description.

    Args:
        addresses: each address below *prefix*, and what it answers, in words.
        prefix: of all addresses.
    """
    types: list[Any] = [list[each] for each in _LIST.values()]  # type: ignore[valid-type]
    types += [views.RunView, views.Page, views.TaskDetail, views.Graph]
    schemas, components = msgspec.json.schema_components(
        types,
        schema_hook=lambda _: {"description": "Any value"},  # of `object`
        ref_template="#/components/schemas/{name}",
    )
    answers = {**dict(zip(_LIST, schemas, strict=False)), "run": schemas[-4], "tasks": schemas[-3]}
    answers |= {"task": schemas[-2], "graph": schemas[-1]}
    answers["states"] = {"type": "object", "additionalProperties": {"type": "integer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cnflow",
            "version": __version__,
            "description": "Runs that are recorded. Times are Unix seconds. Asked with GET alone.",
        },
        "paths": {
            prefix + re.sub(r":\w+}", "}", address): {"get": _operation(address, words, answers)}
            for address, words in addresses.items()
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(address: str, words: str, answers: dict[str, Any]) -> dict[str, Any]:
    parts = [part for part in address.split("/") if part]
    name = parts[-1].strip("{}").partition(":")[0]
    in_path = [
        {
            "name": part.strip("{}").partition(":")[0],
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if ":int" in part else "string"},
        }
        for part in parts
        if part.startswith("{")
    ]
    in_query = [
        {"name": each, "in": "query", "schema": {"type": _PARAMETERS[each][0]}, "description": _PARAMETERS[each][1]}
        for each in _OF_ADDRESS.get(name, ())
    ]
    return {
        "summary": words,
        "operationId": "get_" + "_".join(part.strip("{}").partition(":")[0] for part in parts),
        "parameters": in_path + in_query,
        "responses": {
            "200": {"description": "Found", "content": {"application/json": {"schema": answers[name]}}},
            "401": {"description": "The token is missing or another"},
            "404": {"description": "There is no such run or task, or a parameter is none that can be understood"},
        },
    }
