"""What an engine's API offers to builders of images: builds, commits, tags, lists of images.

::

    build(tar) ── the engine's classic builder ──> id          run_step(image, secrets) ──> container ── commit ──> id
                                                                    secrets: by its input, into a file system in memory
"""

from __future__ import annotations

import contextlib
import re
from typing import IO, TYPE_CHECKING, Any

import docker.errors

from cnflow.errors import BlockRejectedError
from cnflow.images.own_images import RECIPE_LABEL, OwnImage
from cnflow.providers.docker.client.failures import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.images.engine import OnLine
    from cnflow.providers.docker.client.engine import Engine

SECRETS = "/run/secrets"

# Reads "NAME SIZE", and that many bytes into a file, until "end"; `read` and `dd` take no byte too many from a pipe.
_RECEIVE = f"""\
while read -r name size && [ "$name" != end ]; do
  dd bs=1 count="$size" of="{SECRETS}/$name" 2>/dev/null || exit 125
done
exec "$@" </dev/null
"""
_BUILT = re.compile(r"(?:Successfully built |sha256:)?([0-9a-f]{12,64})\s*")


class Builds:
    """Calls of one engine for builders.

    Args:
        engine: connected.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._api = engine.sdk.api

    def platform(self) -> str:
        """Return the engine's own platform, such as ``linux/amd64``."""
        with self._engine.rejecting("report its version"):
            version = self._api.version()
            return f"{version['Os']}/{version['Arch']}"

    def build(self, context: IO[bytes], options: Mapping[str, object], on_line: OnLine) -> tuple[str, str]:
        """Build with the classic builder; see `cnflow.images.engine.BuildEngine`."""
        given: Any = {name: value for name, value in options.items() if value}
        found = ""
        with self._engine.rejecting("build an image"):
            try:
                events = self._api.build(
                    fileobj=context, custom_context=True, decode=True, rm=True, forcerm=True, **given
                )
                for event in events:
                    if "error" in event:
                        return "", str(event["error"]).strip()
                    found = str((event.get("aux") or {}).get("ID") or found)
                    for line in filter(str.strip, str(event.get("stream", "")).splitlines()):
                        if not found and (built := _BUILT.fullmatch(line)):  # of an engine that sends no "aux"
                            found = built[1]
                        on_line(line)
            except docker.errors.APIError as error:  # such as a Dockerfile that cannot be parsed
                return "", words_of(error)
        return found, "" if found else "the engine reported no image"

    def run_step(
        self, image: str, argv: Sequence[str], values: Mapping[str, bytes], labels: Mapping[str, str], on_line: OnLine
    ) -> tuple[str, int]:
        """Run a step with secrets and commit it; see `cnflow.images.engine.BuildEngine`."""
        container = self._engine.create(
            {
                "image": image,
                "entrypoint": ["/bin/sh", "-c", _RECEIVE, "cnflow"],
                "command": list(argv),
                "labels": dict(labels),
                "stdin_open": True,
                "tmpfs": {SECRETS: "mode=1777"},
            }
        )
        with self._engine.remove_on_failure(container), self._engine.rejecting("run a step of a build"):
            code = self._run(container, _sent(values), on_line)
            made = "" if code else str(self._api.commit(container)["Id"])
        self._engine.remove(container)
        return made, code

    def _run(self, container: str, sent: bytes, on_line: OnLine) -> int:
        socket = self._api.attach_socket(container, params={"stdin": 1, "stream": 1})
        try:
            self._api.start(container)
            getattr(socket, "_sock", socket).sendall(sent)
        finally:
            socket._response.close()  # noqa: SLF001 - the SDK keeps it there, with the connection
            socket.close()
        for line in _lines(self._api.logs(container, stream=True, follow=True)):
            on_line(line)
        return int(self._api.wait(container, timeout=None)["StatusCode"])

    def labelled_images(self, label: str) -> list[OwnImage]:
        """Return the images that have *label*, with the containers and images that use them."""
        with self._engine.rejecting("list its images"):
            found = self._api.images(filters={"label": label})
            children = self._api.images(all=True) if found else []
        containers = self._engine.containers() if found else []
        return [_own_image(one, containers, children) for one in found]

    def remove_image(self, name: str) -> str:
        """Remove a name or an id; return the engine's words if that failed, else an empty string."""
        try:
            with self._engine.rejecting(f"remove image {name!r}"), contextlib.suppress(docker.errors.NotFound):
                self._api.remove_image(name)
        except BlockRejectedError as refusal:
            return str(refusal)
        return ""


def _sent(values: Mapping[str, bytes]) -> bytes:
    parts = [f"{name} {len(value)}\n".encode() + value for name, value in values.items()]
    return b"".join([*parts, b"end 0\n"])


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _own_image(
    one: Mapping[str, Any], containers: Sequence[Mapping[str, Any]], images: Sequence[Mapping[str, Any]]
) -> OwnImage:
    own = str(one["Id"])
    names = [str(each["Names"][0]).lstrip("/") for each in containers if each.get("ImageID") == own and each["Names"]]
    names += [
        ", ".join(each.get("RepoTags") or [str(each["Id"])[:19]]) for each in images if each.get("ParentId") == own
    ]
    labels = one.get("Labels") or {}
    return OwnImage(
        own,
        one.get("RepoTags") or [],
        str(labels.get(RECIPE_LABEL, "")),
        int(one["Size"]),
        float(one["Created"]),
        names,
    )
