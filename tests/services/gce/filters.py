"""The part of the language of list filters that cnflow uses; anything else is refused, not ignored. No I/O.

::

    (labels.cnflow-run = "r1") AND (status != "RUNNING")        labels.k:*

https://cloud.google.com/compute/docs/reference/rest/v1/instances/list
"""

import re

TERM = re.compile(r'\(?\s*([\w.\-]+)\s*(!=|=|:)\s*"?([^")]*)"?\s*\)?')


class BadFilterError(Exception):
    """The text is no filter."""


def matches(thing, text):
    """Whether *thing*, a resource of the API, passes the filter *text*."""
    return all(_passes(thing, term) for term in re.split(r"\s+AND\s+", text.strip())) if text else True


def _passes(thing, term):
    found = TERM.fullmatch(term.strip())
    if not found:
        raise BadFilterError(term)
    name, operator, wanted = found.groups()
    path = name.split(".", 1) if name.startswith("labels.") else name.split(".")
    value = thing
    for part in path:
        value = (value or {}).get(part)
    if operator == ":":
        return value is not None if wanted == "*" else wanted in str(value)
    return (str(value) == wanted) == (operator == "=")
