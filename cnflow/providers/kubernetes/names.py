"""Names and labels of the objects that cnflow makes in a cluster. No I/O.

::

    block_name(run, "Train_2", "0") = "cnflow-3fa1-Train_2-0"
        ├─ `object_name` ──> "cnflow-3fa1-train-2-0-1c9d07ba"   DNS-1123, at most 52 characters; a digest where
        │                                                       the text was changed, so that two never meet
        └─ annotation cnflow.org/name: the text itself

    kubectl get all -l app.kubernetes.io/managed-by=cnflow,cnflow.org/run=3fa1
"""

from __future__ import annotations

import getpass
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId, RunId

MANAGED_BY, MANAGER = "app.kubernetes.io/managed-by", "cnflow"
RUN, EXECUTOR, BLOCK, USER = "cnflow.org/run", "cnflow.org/executor", "cnflow.org/block", "cnflow.org/user"
"""Labels of the objects."""

NAME = "cnflow.org/name"
"""Annotation with the name of a block as `BlockRequest.name` has it."""

_LONGEST_NAME = 52
"""Characters: the Job controller adds up to 11 to those of a Job for the names and host names of its pods, and a label
has 63 at most."""

_LONGEST_LABEL = 63
_DIGEST = 8


def object_name(text: str) -> str:
    """Return *text* as a name of an object: lower-case letters, digits and ``-``; different for different texts."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
    if plain == text and len(text) <= _LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{plain[: _LONGEST_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


def label_value(text: str) -> str:
    """Return *text* as the value of a label: at most 63 letters, digits, ``.``, ``_`` and ``-``, or nothing."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    if plain == text and len(text) <= _LONGEST_LABEL:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{plain[: _LONGEST_LABEL - _DIGEST - 1].rstrip('-._')}-{digest}".lstrip("-")


def user_label() -> str:
    """Return the label of this machine's user, by which the objects of several users are told apart."""
    try:
        return label_value(getpass.getuser())
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def run_labels(run: RunId, executor: str = "", user: str = "") -> dict[str, str]:
    """Return the labels of an object of *run*, or of one of its executors."""
    labels = {MANAGED_BY: MANAGER, RUN: label_value(run)}
    if executor:
        labels[EXECUTOR] = label_value(executor)
    return {**labels, USER: user} if user else labels


def block_labels(run: RunId, executor: str, block: BlockId, user: str = "") -> dict[str, str]:
    """Return the labels of an object of one block."""
    return {**run_labels(run, executor, user), BLOCK: label_value(block)}


def selector(labels: Mapping[str, str]) -> str:
    """Return the query ``labelSelector`` that *labels* must match."""
    return ",".join(f"{name}={value}" for name, value in labels.items())
