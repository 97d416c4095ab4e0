"""An OpenStack cloud as the provider of machines sees it.

Life of a machine::

    launch ──> a server with the tag of the token? ──yes──> that one       a repeated request starts nothing twice
                  │ no
               POST /servers ──> BUILD, nova looks for a host ──> a host was found: PENDING
                                      └── ERROR, no valid host: deleted, NoCapacityError
               interchange: a floating address on its port
    list ────> /servers/detail?tags=..., checked against the metadata
    terminate > its floating address, then the server; a server that is shut off needs it, too
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.clock import SystemClock
from cnflow.errors import BlockError, BlockRejectedError, MissingExtraError, NoCapacityError
from cnflow.providers._shared.machines.recent import RecentlyDeleted
from cnflow.providers.openstack import requests
from cnflow.providers.openstack.errors import ApiError, has_no_room, is_about_address, meaning_of
from cnflow.providers.openstack.flavors import flavor_of, need_of, placements_of
from cnflow.providers.openstack.network import Networks
from cnflow.providers.openstack.servers import SCHEDULING, fault_of, machine_of
from cnflow.providers.openstack.tags import TOKEN, server_tags
from cnflow.text import did_you_mean, elide_middle, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.config.openstack import OpenStackProvider
    from cnflow.model.finding import Finding
    from cnflow.model.machine import Machine, MachineRequest, Placement
    from cnflow.providers.openstack.client import OpenStackClient
    from cnflow.providers.openstack.flavors import Flavor

logger = logging.getLogger(__name__)

_SCHEDULED_WITHIN, _PAUSE = 20.0, 0.3
"""Seconds. Nova answers before it has looked for a host, which takes about one."""

_CONSOLE_LINES = 400
_NOT_READY = 409


def connect(settings: OpenStackProvider) -> OpenStackClient:
    """Return a client of the cloud that *settings* name; nothing is sent.

    Raises:
        MissingExtraError: the SDK is not installed.
        BlockRejectedError: the settings lead to no cloud.
    """
    with MissingExtraError.for_import("OpenStackProvider (kind 'openstack')", "openstack"):
        from cnflow.providers.openstack.client import OpenStackClient  # noqa: PLC0415 - imports the SDK, an extra
    return OpenStackClient.connect(settings)


class OpenStackCloud:
    """The servers of one project in one region; see `cnflow.interfaces.cloud.Cloud`.

    Args:
        settings: what the user wrote.
        clock: source of time.
    """

    def __init__(self, settings: OpenStackProvider, clock: Clock | None = None) -> None:
        self.name = " ".join(filter(None, ("OpenStack", settings.cloud, settings.region)))
        self.settings = settings
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._client: OpenStackClient | None = None
        self._image: dict[str, Any] | None = None
        self._flavors: list[Flavor] | None = None
        self._networks: Networks | None = None
        self._recent = RecentlyDeleted(self._clock)
        self._closing = threading.Event()

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Flavors that fit, each in the zones in turn."""
        settings = self.settings
        need = need_of(settings, self.image(), for_interchange=for_interchange)
        interchange_types = [settings.interchange_type] if settings.interchange_type else []
        types = interchange_types if for_interchange else settings.instance_types
        return placements_of(self.flavors(), types, need, settings)

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Find image and networks; make a network where the settings ask for one."""
        self.image()
        with self._refusals("The network cannot be prepared"):
            self.networks().prepare(tags)

    def launch(self, request: MachineRequest) -> Machine:
        """Start one server, and wait until nova has found a host for it."""
        server = self._with_token(request.token) or self._create(request)
        server = self._scheduled(server)
        fault = fault_of(server)
        if has_no_room(fault):
            self._give_up(str(server["id"]))
            raise NoCapacityError(f"{self.name} has no host with room for {request.placement}: {fault}")
        if request.is_interchange and server.get("status") != "ERROR":
            server = self._with_address(server, request)
        return machine_of(server, self.settings.price_per_hour)

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """Servers that carry all of *tags*, also those that are shut off, or were deleted here some minutes ago."""
        query = {"tags": ",".join(server_tags(tags))}
        with self._refusals("The servers cannot be listed"):
            found = list(self.client().pages("compute", "/servers/detail", "servers", query))
        machines = [machine_of(server, self.settings.price_per_hour) for server in found]
        listed = {each.id: each for each in machines if tags.items() <= each.tags.items()}  # the query has but digests
        self._recent.on_listed(listed.values())
        return list({**self._recent.with_tags(tags), **listed}.values())

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """Delete servers with their floating addresses."""
        refused = {}
        for each in ids:
            try:
                with self._refusals("The server is not deleted"):
                    self.networks().take_address(each)
                    self._delete(each)
                self._recent.on_deleted(each)
            except BlockError as error:
                refused[each] = str(error)
        return refused

    def console(self, machine: str) -> bytes:
        """The last lines of the server's serial console."""
        body = {"os-getConsoleOutput": {"length": _CONSOLE_LINES}}
        try:
            answer = self.client().request("compute", "POST", f"/servers/{machine}/action", body=body)
        except ApiError as error:
            if error.is_missing or error.status == _NOT_READY:
                return b""
            raise meaning_of(error, "The console cannot be read") from error
        return str(answer.get("output") or "").encode()

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Remove networks that carry *tags* and have no machines, and floating addresses without one."""
        with self._refusals("The network cannot be removed"):
            return self.networks().remove(tags)

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Names of those."""
        with self._refusals("The networks cannot be listed"):
            return self.networks().unused(tags)

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """Body of the request for a server, with names in place of ids."""
        return requests.server_for(request, self.settings, requests.named_in(self.settings))

    def check(self) -> Sequence[Finding]:
        """Findings on login, image, flavors, network and quota."""
        from cnflow.providers.openstack.checks import check_cloud  # noqa: PLC0415 - it uses this module

        return check_cloud(self.settings)

    def close(self) -> None:
        """End waits, and close the connections."""
        self._closing.set()
        with self._lock:
            if self._client is not None:
                self._client.close()

    def client(self) -> OpenStackClient:
        """The session, made on first use.

        Raises:
            BlockRejectedError: the settings lead to no cloud.
        """
        with self._lock:
            if self._client is None:
                self._client = connect(self.settings)
            return self._client

    def networks(self) -> Networks:
        """Networks and addresses of the project."""
        with self._lock:
            if self._networks is None:
                self._networks = Networks(self.client(), self.settings)
            return self._networks

    def image(self) -> dict[str, Any]:
        """The image of the machines, as Glance describes it; found once.

        Raises:
            BlockRejectedError: there is none.
            BlockError: no answer.
        """
        with self._lock:
            if self._image is None:
                with self._refusals("The image cannot be found"):
                    self._image = find_image(self.client(), self.settings.image_id)
            return self._image

    def flavors(self) -> Sequence[Flavor]:
        """All flavors of the project; found once.

        Raises:
            BlockRejectedError, BlockError: refused, or no answer.
        """
        with self._lock:
            if self._flavors is None:
                with self._refusals("The flavors cannot be listed"):
                    pages = self.client().pages("compute", "/flavors/detail", "flavors")
                    self._flavors = [flavor_of(each) for each in pages]
            return self._flavors

    @contextlib.contextmanager
    def _refusals(self, action: str) -> Iterator[None]:
        """Raise the refusal of a request as the seam's error; its message begins with *action*."""
        try:
            yield
        except ApiError as error:
            raise meaning_of(error, f"{self.name}: {action}") from error

    def _create(self, request: MachineRequest) -> dict[str, Any]:
        found = requests.Found(
            image=str(self.image()["id"]),
            flavors={flavor.name: flavor.id for flavor in self.flavors()},
            networks=self.networks().ids(),
            security_groups=self.networks().groups(),
        )
        body = requests.server_for(request, self.settings, found)
        try:
            made = self.client().request("compute", "POST", "/servers", body=body)["server"]
        except ApiError as error:
            if request.private_address and is_about_address(error):
                return self._create(replace(request, private_address=""))
            # It may quote the whole request, with the token that the machine boots by.
            words = shortened(error.words.replace(body["server"]["user_data"], "..."), 1000)
            action = f"{self.name}: {request.name} is refused ({request.placement})"
            raise meaning_of(ApiError(error.status, words), action) from None
        return {"status": "BUILD", "OS-EXT-STS:task_state": SCHEDULING, "metadata": body["server"]["metadata"], **made}

    def _with_address(self, server: dict[str, Any], request: MachineRequest) -> dict[str, Any]:
        """Return *server* with a floating address, where the settings ask for one; it is deleted if it gets none."""
        id_ = str(server["id"])
        try:
            with self._refusals(f"{request.name} gets no floating address"):
                self.networks().give_address(id_, request.tags)
        except BlockError:
            self._give_up(id_)
            raise
        return self._server(id_)

    def _with_token(self, token: str) -> dict[str, Any] | None:
        """Return the server that an earlier request with *token* has started; None if there is none.

        Nova has no idempotent creation: the reply to the earlier request may have been lost on the way.
        """
        query = {"tags": ",".join(server_tags({TOKEN: token}))}
        with self._refusals("The servers cannot be listed"):
            return next(self.client().pages("compute", "/servers/detail", "servers", query), None)

    def _scheduled(self, server: dict[str, Any]) -> dict[str, Any]:
        """Return *server* once nova has found a host for it, or has not, or takes long."""
        until = self._clock.now() + _SCHEDULED_WITHIN
        while _is_scheduling(server) and self._clock.now() < until and not self._closing.wait(_PAUSE):
            try:
                server = self._server(str(server["id"]))
            except BlockError:  # it was started; `list` shows what comes of it
                return server
        return server

    def _server(self, id_: str) -> dict[str, Any]:
        with self._refusals("The server cannot be read"):
            server: dict[str, Any] = self.client().request("compute", "GET", f"/servers/{id_}")["server"]
        return server

    def _give_up(self, id_: str) -> None:
        """Delete a server that is of no use, while another error is on its way; its tags find one that is left."""
        try:
            with self._refusals(f"{id_} is not deleted"):
                self._delete(id_)
        except BlockError as error:
            logger.warning("%s. `cnflow clean --cloud` removes it", error)

    def _delete(self, id_: str) -> None:
        try:
            self.client().request("compute", "DELETE", f"/servers/{id_}")
        except ApiError as error:
            if not error.is_missing:
                raise


def find_image(client: OpenStackClient, wanted: str) -> dict[str, Any]:
    """Return the image with the id *wanted*, or the newest with such a name.

    Raises:
        BlockRejectedError: there is none; the message has the nearest name.
        ApiError, BlockError: refused, or no answer.
    """
    if not wanted:
        raise BlockRejectedError(
            "OpenStackProvider has no image for its machines: set image_id= to a name or an id; by hand: "
            "openstack image list"
        )
    known = [each for each in client.pages("image", "/images", "images") if each.get("status") == "active"]
    fitting = [each for each in known if each["id"] == wanted]
    fitting = fitting or [each for each in known if fnmatch.fnmatchcase(str(each.get("name")), wanted)]
    if not fitting:
        names = sorted(str(each.get("name")) for each in known)
        raise BlockRejectedError(
            f"The project sees no image {wanted!r}.{did_you_mean(wanted, names)} "
            f"It sees: {', '.join(elide_middle(names, 10)) or 'none'}."
        )
    return max(fitting, key=lambda each: str(each.get("created_at")))


def _is_scheduling(server: Mapping[str, Any]) -> bool:
    return server.get("status") == "BUILD" and server.get("OS-EXT-STS:task_state") == SCHEDULING
