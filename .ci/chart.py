"""Writes what follows from the values of helm/cnflow and from their comments: `make chart`; a test compares.

::

    values.yaml, its comments ──┬──> README.md: the table of values
                                ├──> values.schema.json: descriptions; its types are written by hand
    values.schema.json ─────────┴──> files/names.json: the known names of each section, for the templates' own check
    ServeConfig and its parts ─────> files/names.json: those of the sections that cnflow itself reads
    rights of a KubernetesProvider ──> files/driver-role.yaml: rules for the drivers of the hub
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from cnflow.config import HttpSettings, KubernetesProvider, ModelConfig, ServeConfig, VersionConfig
from cnflow.providers.kubernetes.access import Right, needed_rights, rules_of

CHART = Path(__file__).parents[1] / "helm" / "cnflow"
_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]+):(?: |$)")
_SECTIONS = ("image", "server", "pools", "poolDefaults", "serve", "hub", "rbac", "serviceAccount", "networkPolicy")
_TABLE = "<!-- values: written by `make chart` -->"

Comments = dict[str, str]


def comments_of(text: str) -> Comments:
    """Return the comment above each key of *text*, by its path such as ``server.resources``."""
    found: Comments = {}
    path: list[str] = []
    above: list[str] = []
    for line in text.splitlines():
        key = _KEY.match(line)
        if line.strip().startswith("#"):
            above.append(line.strip(" #"))
        elif key:
            depth = len(key["indent"]) // 2
            path[depth:] = [key["name"]]
            if above:
                found[".".join(path[: depth + 1])] = " ".join(above)
            above = []
        else:
            above = []
    return found


def names_of(schema: dict[str, Any]) -> dict[str, list[str]]:
    """Return the names that each section of the values knows; ``pools.*`` stands for any pool."""
    names: dict[str, list[str]] = {}

    def collect(path: str, part: dict[str, Any]) -> None:
        part = _resolved(schema, part)
        if "properties" in part:
            names[path] = sorted(part["properties"])
            for name, below in part["properties"].items():
                collect(f"{path}.{name}".lstrip("."), below)
        elif "$ref" in part.get("additionalProperties", {}):
            collect(f"{path}.*", part["additionalProperties"])

    collect("", schema)
    return names


_OF_THE_CHART = {
    "listen",
    "port",
    "drain_delay",
    "drain_timeout",
    "key_file",
    "allow_anyone",
    "open_metrics",
    "tls_cert",
    "tls_key",
}
"""Options of `HttpSettings` that have values of their own, which the pods follow as well."""

_SECRET = {"api_keys"}
"""Those that no ConfigMap may have."""


def names_of_settings() -> dict[str, list[str]]:
    """Return the names of the sections that go to cnflow as they are; those that other values set are left out."""
    version = set(VersionConfig.model_fields) - {"app", "executor"} | {"pool"}
    model = set(ModelConfig.model_fields) - {"name", "versions"}
    return {
        "serve.http": sorted(set(HttpSettings.model_fields) - _OF_THE_CHART - _SECRET),
        "serve.config": sorted(set(ServeConfig.model_fields) - {"models", "executors", "fronts", "http"}),
        "serve.models.*": sorted(version | {"versions", "options"}),
        "serve.models.*.options": sorted(model),
        "serve.models.*.versions.*": sorted(version),
    }


def described(schema: dict[str, Any], comments: Comments) -> dict[str, Any]:
    """Return *schema* with the comments as descriptions."""

    def describe(path: str, part: dict[str, Any]) -> dict[str, Any]:
        if path in comments:
            part = {"description": comments[path], **{name: part[name] for name in part if name != "description"}}
        if "properties" in part:
            below = {name: describe(f"{path}.{name}".lstrip("."), each) for name, each in part["properties"].items()}
            part = {**part, "properties": below}
        return part

    pool = describe("poolDefaults", schema["$defs"]["pool"])
    return {**describe("", schema), "$defs": {"pool": {name: pool[name] for name in pool if name != "description"}}}


def table_of(values: dict[str, Any], comments: Comments) -> str:
    """Return the tables of all values in Markdown, one for each section."""
    sections = {"": {name: value for name, value in values.items() if name not in _SECTIONS}}
    sections |= {name: values[name] for name in _SECTIONS}
    lines: list[str] = []
    for section, content in sections.items():
        lines += [f"### `{section}`" if section else "### All pods and names", ""]
        lines += [comments[section], ""] if comments.get(section) else []
        lines += [*_rows(section, content, comments), ""] if content else []
    return "\n".join(lines).rstrip() + "\n"


def _rows(section: str, content: dict[str, Any], comments: Comments) -> list[str]:
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for path, value in _leaves(section, content, comments):
        parent, _, name = path.rpartition(".")
        meaning = comments.get(path) or (comments.get(parent, "") if name == "enabled" else "")
        rows.append(f"| `{path}` | `{json.dumps(value)}` | {meaning.replace('|', '&#124;')} |")
    return rows


def _leaves(path: str, value: Any, comments: Comments) -> list[tuple[str, Any]]:  # noqa: ANN401 - any YAML
    """Return path and default of each value that has no further values with comments in it."""
    has_more = isinstance(value, dict) and any(name.startswith(f"{path}.".lstrip(".")) for name in comments)
    if has_more and value:
        return [leaf for name in value for leaf in _leaves(f"{path}.{name}".lstrip("."), value[name], comments)]
    return [(path, value)]


def _resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def rights_of_drivers() -> list[Right]:
    """Return the rights for blocks of both kinds, Jobs and bare pods."""
    jobs = needed_rights(KubernetesProvider(), hosts_interchange=False)
    pods = {
        right.resource: right for right in needed_rights(KubernetesProvider(workload="pod"), hosts_interchange=False)
    }
    return [
        right._replace(verbs=tuple(sorted({*right.verbs, *pods.get(right.resource, right).verbs}))) for right in jobs
    ]


def generated() -> dict[Path, str]:
    """Return the content of each generated file."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    comments = comments_of(text)
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    rights = rights_of_drivers()
    return {
        CHART / "files" / "driver-role.yaml": rules_of(rights).rstrip() + "\n",
        CHART / "README.md": f"{readme.partition(_TABLE)[0]}{_TABLE}\n\n{table_of(yaml.safe_load(text), comments)}",
        CHART / "values.schema.json": json.dumps(described(schema, comments), indent=2) + "\n",
        CHART / "files" / "names.json": json.dumps(names_of(schema) | names_of_settings(), indent=1) + "\n",
    }


def main() -> int:
    """Write the files and print which have changed."""
    for path, content in generated().items():
        if path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
