"""Description of the served models in OpenAPI 3.1, made from the annotations of their functions. No I/O."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from cnflow import __version__
from cnflow.serving.http.models_view import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.serving.service import ModelStatus

_REFERENCE = "#/components/schemas/"

_HEADERS = {
    "X-Request-Timeout": ("number", "Seconds that the caller waits"),
    "X-Request-Id": ("string", "Name of the request in answers and logs; a new one without it"),
    "X-Priority": ("string", "bulk lets other requests go first; interactive is the default"),
}

_FAILURES = {
    "400": "The body cannot be understood",
    "401": "The API key is missing or unknown",
    "404": "There is no such model or version",
    "413": "The body is too large, or has too many rows",
    "422": "A row is not as the model wants it; `details` have its path",
    "429": "Too many requests; `Retry-After` has the seconds to wait",
    "500": "The model failed",
    "503": "The model is not ready, or the server ends",
    "504": "The answer takes longer than it may",
}

_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
                "retry_after": {"type": "number"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"loc": {"type": "array"}, "msg": {"type": "string"}, "type": {"type": "string"}},
                    },
                },
            },
        }
    },
}


def document(models: Mapping[str, ModelStatus], *, has_keys: bool) -> dict[str, Any]:
    """Return the description of *models*; *has_keys* if a call has to bring one."""
    schemas: dict[str, Any] = {"Problem": copy.deepcopy(_PROBLEM)}
    paths: dict[str, Any] = {"/v1/models": {"get": _get("Models and their versions", "models")}}
    for name, model in models.items():
        found = described(model)
        address = f"/v1/models/{name}"
        methods = found.get("methods", ("predict",))
        row = _schema(schemas, name, "row", found)
        options = _schema(schemas, name, "options", found)
        doc = str(found.get("doc") or "")
        paths[address] = {"get": _get(f"Versions of {name}", f"model_{name}", name)}
        if "predict" in methods:
            result = _schema(schemas, name, "result", found)
            paths[f"{address}:predict"] = {"post": _predict(name, doc, (row, result, options))}
        if "stream" in methods:
            piece = _schema(schemas, name, "piece", found)
            paths[f"{address}:stream"] = {"post": _stream(name, doc, (row, piece, options))}
    paths["/v2/health/ready"] = {"get": _get("Whether all models are ready", "ready")}
    found_document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Models",
            "version": __version__,
            "description": "Models served by cnflow. Tensors go by the Open Inference Protocol, below /v2.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if has_keys:
        found_document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found_document["security"] = [{"key": []}]
    return found_document


def _schema(schemas: dict[str, Any], model: str, part: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a reference to a schema of *model*, whose own definitions are put beside it."""
    given = found.get(part)
    if not given:
        return {"type": "object"} if part == "options" else {}
    prefix = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in f"{model}.{part}")
    own = copy.deepcopy(dict(given))
    definitions = own.pop("$defs", {})
    for name, schema in {"": own, **definitions}.items():
        schemas[f"{prefix}.{name}" if name else prefix] = _moved(schema, prefix)
    return {"$ref": f"{_REFERENCE}{prefix}"}


def _moved(schema: Any, prefix: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(schema, dict):
        return {
            name: f"{_REFERENCE}{prefix}.{value.removeprefix('#/$defs/')}"
            if name == "$ref" and isinstance(value, str) and value.startswith("#/$defs/")
            else _moved(value, prefix)
            for name, value in schema.items()
        }
    return [_moved(each, prefix) for each in schema] if isinstance(schema, list) else schema


def _predict(name: str, doc: str, schemas: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    row, result, options = schemas
    rows = {"type": "array", "items": row}
    body = {
        "oneOf": [
            rows,
            {"type": "object", "required": ["rows"], "properties": {"rows": rows, "options": options}},
            {"type": "object", "required": ["instances"], "properties": {"instances": rows, "parameters": options}},
        ]
    }
    results = {"type": "array", "items": result}
    answer = {
        "oneOf": [
            results,
            {"type": "object", "required": ["results"], "properties": {"results": results}},
            {"type": "object", "required": ["predictions"], "properties": {"predictions": results}},
        ]
    }
    found = _operation(name, f"Results of {name} for rows", f"predict_{name}", doc)
    found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    found["responses"]["200"] = {
        "description": "One result for each row, in their order",
        "content": {"application/json": {"schema": answer}},
    }
    return found


def _stream(name: str, doc: str, schemas: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    row, piece, options = schemas
    body = {"type": "object", "required": ["row"], "properties": {"row": row, "options": options}}
    found = _operation(name, f"Result of {name} for one row, in pieces", f"stream_{name}", doc)
    found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    found["responses"]["200"] = {
        "description": "Server-sent events: one for each piece, then `end`, or `error`",
        "content": {"text/event-stream": {"schema": {"type": "string", "contentSchema": piece}}},
    }
    return found


def _operation(name: str, summary: str, identity: str, doc: str) -> dict[str, Any]:
    problem = {"application/json": {"schema": {"$ref": f"{_REFERENCE}Problem"}}}
    return {
        "summary": summary,
        "description": doc,
        "operationId": identity,
        "tags": [name],
        "parameters": [
            {"name": header, "in": "header", "schema": {"type": kind}, "description": words}
            for header, (kind, words) in _HEADERS.items()
        ],
        "responses": {status: {"description": words, "content": problem} for status, words in _FAILURES.items()},
    }


def _get(summary: str, identity: str, *tags: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": f"get_{identity}",
        "tags": list(tags) or ["server"],
        "responses": {"200": {"description": "Found", "content": {"application/json": {"schema": {"type": "object"}}}}},
    }
