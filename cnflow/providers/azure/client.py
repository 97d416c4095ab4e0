"""The only importer of Azure's SDK: requests to the resource manager, and the meaning of their failures."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers.azure.answers import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.config.azure import AzureProvider

RETRIES = 4
_VERSIONS = {"Microsoft.Compute": "2024-07-01", "Microsoft.Network": "2024-05-01"}


class AzureClient:
    """A session with one resource manager; may be used from several threads.

    Args:
        settings: what the user wrote.
    """

    def __init__(self, settings: AzureProvider) -> None:
        self._endpoint = settings.endpoint.rstrip("/")
        self._timeout = settings.cmd_timeout
        self._credential = DefaultAzureCredential()
        access = ARMChallengeAuthenticationPolicy(self._credential, f"{self._endpoint}/.default")
        retries = RetryPolicy(retry_total=RETRIES, retry_backoff_factor=0.5)
        policies = [UserAgentPolicy(user_agent="cnflow"), retries, access]
        self._client: Any = ARMPipelineClient(base_url=self._endpoint, policies=policies)

    def request(
        self,
        method: Literal["GET", "PUT", "POST", "DELETE"],
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer to one request, with the address of a long operation as ``operation``.

        Args:
            method: of HTTP.
            path: within the resource manager, or a whole address that it has given.
            body: sent as JSON.
            query: besides the version of the interface.
            headers: further ones.

        Raises:
            ApiError: refused.
            BlockRejectedError: the login is refused.
            BlockError: no answer.
        """
        asked = HttpRequest(
            method, self._address(path), params=self._query(path, query), headers=dict(headers or {}), json=body
        )
        options = {"connection_timeout": self._timeout, "read_timeout": self._timeout}
        try:
            answer = self._client.send_request(asked, enforce_https=self._endpoint.startswith("https"), **options)
            content = answer.read()
        except ClientAuthenticationError as error:
            words = str(error).partition("\n")[0]  # the SDK logs the others, one for each way to log in
            raise BlockRejectedError(f"The login to Azure is refused: {words}\nLog in: az login") from error
        except AzureError as error:
            raise BlockError(f"Azure does not answer at {self._endpoint}: {error}") from error
        read = _json(answer) if content else {}
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            words = read.get("error", read)
            raise ApiError(answer.status_code, str(words.get("code", "")), str(words.get("message", answer.reason)))
        operation = answer.headers.get("Azure-AsyncOperation")
        return {**read, "operation": operation} if operation else read

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the entries of all pages of a list.

        Raises:
            ApiError, BlockError: as `request`.
        """
        page = self.request("GET", path, query=query)
        while True:
            yield from page.get("value", ())
            if not page.get("nextLink"):
                return
            page = self.request("GET", str(page["nextLink"]))

    def text(self, address: str) -> bytes:
        """Return what an address with a signature of its own has; empty if nothing.

        Raises:
            BlockError: no answer.
        """
        try:
            client: Any = ARMPipelineClient(base_url=address, policies=[RetryPolicy(retry_total=RETRIES)])
            with client:
                answer = client.send_request(HttpRequest("GET", address))
                return bytes(answer.read()) if answer.status_code == HTTPStatus.OK else b""
        except AzureError as error:
            raise BlockError(f"The console of a machine of Azure cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _address(self, path: str) -> str:
        return path if path.startswith("http") else f"{self._endpoint}{path}"

    def _query(self, path: str, query: Mapping[str, str] | None) -> dict[str, str]:
        if path.startswith("http"):
            return {}
        version = next(version for name, version in _VERSIONS.items() if name in path)
        return {"api-version": version, **(query or {})}


def _json(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - a response of the SDK
    try:
        read = answer.json()
    except ValueError as error:
        raise BlockError(f"Azure answers no JSON: {answer.text()[:200]!r}") from error
    return read if isinstance(read, dict) else {"value": read}
