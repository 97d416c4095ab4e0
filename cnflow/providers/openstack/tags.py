"""The form of tags in OpenStack. No I/O.

::

    tags ──┬── metadata of a server     names and values as they are; what is read back
           ├── tags of a server         "name=value", at most 60 characters; what is asked for, in one query
           └── description of a network "name=value name=value", at most 255 characters; set when it is made

A tag of a network could be set only after it was made, https://docs.openstack.org/api-ref/network/v2/#standard-attributes-tag-extension,
so that a driver that is killed in between would leave one without an owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.providers._shared.machines.tags import BLOCK, EXECUTOR, EXPIRES, OWNER, ROLE, RUN, tag_value

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "cnflow-token"  # noqa: S105 - the name of a tag
"""Tag with the token of the request that made a server."""

_LONGEST = 60
"""Characters of a tag, https://docs.openstack.org/api-ref/compute/#server-tags-servers-tags"""

_DESCRIBED = (RUN, OWNER, EXECUTOR, ROLE, BLOCK, EXPIRES)
_LONGEST_DESCRIBED = 28
"""Of a value in a description: those of all these tags fit into 255 characters."""


def server_tag(name: str, value: str) -> str:
    """Return the tag of a server that stands for *name* and *value*; of a long value the digest."""
    return f"{name}={tag_value(value, _LONGEST - len(name) - 1)}"


def server_tags(tags: Mapping[str, str]) -> list[str]:
    """Return *tags* as tags of a server."""
    return [server_tag(name, value) for name, value in sorted(tags.items())]


def description_of(tags: Mapping[str, str]) -> str:
    """Return *tags* as the description of a network, a router, a group or an address."""
    known = [(name, tags[name]) for name in _DESCRIBED if name in tags]
    return " ".join(f"{name}={tag_value(value, _LONGEST_DESCRIBED)}" for name, value in known)


def is_described(description: str, tags: Mapping[str, str]) -> bool:
    """Return whether *description* has all of *tags*."""
    return set(description_of(tags).split()) <= set(description.split())
