"""The only importer of openstacksdk: requests to the services of one cloud, and the meaning of its errors.

::

    OpenStackClient.connect(settings) ──> session: clouds.yaml or OS_..., token, catalog of services
    request("compute", "GET", "/servers/detail") ──> JSON
              │
              ├── 429 ─────────────> asked again, longer apart each time
              ├── 502, 503, 504, lost connection: asked again, but for a POST, which the cloud may have heard
              ├── other refusals ──> ApiError
              └── no answer ───────> BlockError

The JSON of the services' documents is what this package works with; the SDK finds, signs and sends.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import keystoneauth1.exceptions
import openstack
import openstack.exceptions

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers.openstack.errors import ApiError, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.config.openstack import OpenStackProvider

Service = Literal["compute", "image", "network"]

MICROVERSION = "2.67"
"""Of nova: its 19.0 (Stein, 2019). Tags of new servers are in 2.52, flavors' extra specs in 2.61, types of volumes in
2.67. https://docs.openstack.org/nova/latest/reference/api-microversion-history.html"""

_PREFIXES: Mapping[Service, str] = {"compute": "", "image": "/v2", "network": "/v2.0"}
_BUSY = [HTTPStatus.TOO_MANY_REQUESTS.value]
_PASSING = [
    *_BUSY,
    HTTPStatus.BAD_GATEWAY.value,
    HTTPStatus.SERVICE_UNAVAILABLE.value,
    HTTPStatus.GATEWAY_TIMEOUT.value,
]
_RETRIES = 4
"""With the pauses of keystoneauth, 0.5 s, 1 s, 2 s and 4 s."""

_PAGE = 500


class OpenStackClient:
    """A session with one cloud; may be used from several threads.

    Args:
        connection: of the SDK.
        timeout: seconds within which a request must be answered.
    """

    def __init__(self, connection: openstack.connection.Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        name = connection.config.name
        self.source = "the variables OS_..." if name in {None, "", "envvars"} else f"the entry {name!r} of clouds.yaml"

    @classmethod
    def connect(cls, settings: OpenStackProvider) -> OpenStackClient:
        """Return a client for the cloud that *settings* name; nothing is sent.

        Raises:
            BlockRejectedError: clouds.yaml and the variables name no cloud.
        """
        options: dict[str, Any] = {"compute_default_microversion": MICROVERSION, "api_timeout": settings.cmd_timeout}
        if settings.region is not None:
            options["region_name"] = settings.region
        try:
            connection = openstack.connect(cloud=settings.cloud, app_name="cnflow", **options)
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
            raise _bad_setup(error) from error
        return cls(connection, settings.cmd_timeout)

    @property
    def project(self) -> str:
        """Id of the project; the first use logs in.

        Raises:
            BlockRejectedError, BlockError: as `login`.
        """
        self.login()
        return str(self._connection.current_project_id)

    @property
    def region(self) -> str:
        """Name of the region; empty where the cloud has but one."""
        return str(self._connection.config.get_region_name() or "")

    def login(self) -> None:
        """Get a token, unless there is one that is valid.

        Raises:
            BlockRejectedError: the credentials are refused, or incomplete.
            BlockError: the cloud does not answer.
        """
        try:
            self._connection.session.get_token()
        except keystoneauth1.exceptions.HttpError as error:
            raise meaning_of(ApiError(_status(error), str(error)), f"The login by {self.source} was refused") from error
        except (keystoneauth1.exceptions.ClientException, openstack.exceptions.SDKException) as error:
            raise self._no_answer(error, "keystone") from error

    def request(
        self,
        service: Service,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the answer to one request; empty for an answer without content.

        Raises:
            ApiError: the request is refused.
            BlockRejectedError: the credentials are refused, or the cloud has no such service.
            BlockError: no answer.
        """
        is_safe = method != "POST"
        try:
            answer = getattr(self._connection, service).request(
                f"{self._prefix(service)}{path}",
                method,
                json=body,
                params=query,
                timeout=self._timeout,
                raise_exc=False,
                connect_retries=_RETRIES if is_safe else 0,
                status_code_retries=_RETRIES,
                retriable_status_codes=_PASSING if is_safe else _BUSY,
            )
        except keystoneauth1.exceptions.HttpError as error:  # of a login on the way
            raise meaning_of(ApiError(_status(error), str(error)), f"The login by {self.source} was refused") from error
        except (keystoneauth1.exceptions.ClientException, openstack.exceptions.SDKException) as error:
            raise self._no_answer(error, service) from error
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise ApiError(answer.status_code, _words(answer))
        return _json(answer, service) if answer.content else {}

    def pages(
        self, service: Service, path: str, key: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the entries of all pages of a list, found under *key* in each.

        Raises:
            ApiError, BlockError: as `request`.
        """
        asked = {**(query or {}), "limit": _PAGE}
        while True:
            page = self.request(service, "GET", path, query=asked)
            entries = page.get(key, [])
            yield from entries
            if not entries or not _has_next(page, key):
                return
            asked["marker"] = entries[-1]["id"]

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _prefix(self, service: Service) -> str:
        """Version in the path, unless the catalog's address ends with one."""
        adapter = getattr(self._connection, service)
        address = str(adapter.get_endpoint() or "").rstrip("/")
        prefix = _PREFIXES[service]
        return "" if re.search(r"/v\d+(\.\d+)?$", address) else prefix

    def _no_answer(self, error: Exception, service: str) -> BlockError:
        """Return the error for a request without an answer, of which nothing is known, or for a wrong setup."""
        kinds = (
            keystoneauth1.exceptions.MissingRequiredOptions,
            keystoneauth1.exceptions.EndpointNotFound,
            keystoneauth1.exceptions.CatalogException,
            openstack.exceptions.ConfigException,
            openstack.exceptions.NotSupported,
        )
        if isinstance(error, kinds):
            return _bad_setup(error)
        return BlockError(f"The service {service} of the cloud of {self.source} does not answer: {_text(error)}")


def _bad_setup(error: Exception) -> BlockRejectedError:
    return BlockRejectedError(
        f"The settings lead to no OpenStack cloud: {_text(error)}\nSet OpenStackProvider(cloud=...) to an entry of "
        "~/.config/openstack/clouds.yaml, or load the file with the variables OS_... of the project; by hand: "
        "openstack token issue"
    )


def _status(error: keystoneauth1.exceptions.HttpError) -> int:
    return int(error.http_status or HTTPStatus.INTERNAL_SERVER_ERROR)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _json(answer: Any, service: str) -> dict[str, Any]:  # noqa: ANN401 - a response of requests
    try:
        read = answer.json()
    except ValueError as error:
        raise BlockError(f"The service {service} answers no JSON: {answer.text[:200]!r}") from error
    return read if isinstance(read, dict) else {"items": read}


def _words(answer: Any) -> str:  # noqa: ANN401 - a response of requests
    """Return what the service says: ``{"badRequest": {"message": ...}}``, ``{"NeutronError": {...}}``, HTML or text."""
    try:
        read = answer.json()
    except ValueError:
        return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())[:2000] or str(answer.reason)
    parts = [part.get("message") for part in read.values() if isinstance(part, dict)] if isinstance(read, dict) else []
    return " ".join(str(part) for part in parts if part) or str(read.get("message") if isinstance(read, dict) else read)


def _has_next(page: Mapping[str, Any], key: str) -> bool:
    """True if the service links another page: Glance by ``next``, the others by ``KEY_links``."""
    return bool(page.get("next")) or any(link.get("rel") == "next" for link in page.get(f"{key}_links", ()))
