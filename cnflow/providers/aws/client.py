"""Calls of EC2 and of the services beside it: the only importer of AWS's SDK. Each call may take seconds.

::

    call ──botocore──> throttled, or no answer: again, up to `_ATTEMPTS` times, slower and slower (its adaptive mode)
      │                no capacity: not again, though EC2 calls it a server error; the next zone is tried at once
      └─ failed: `errors.error_for`; of expired credentials the session is made anew, so that a login is noticed

RunInstances is repeated safely: each call carries the token of its machine.
"""

from __future__ import annotations

import email.utils
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - the SDK's name
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers.aws.errors import EXPIRED, NO_CAPACITY, Failure, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ATTEMPTS = 6
"""Of a call: with pauses that double up to 20 s, about half a minute of throttling."""

_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60
_PAGE = 1000
_AT_ONCE = 16
"""Connections that are kept: as many as blocks that are submitted at once."""

_LOGIN = (NoCredentialsError, PartialCredentialsError, SSOError, TokenRetrievalError)


class AWS:
    """Clients of one account and region, made on first use.

    Args:
        region: None is that of the SDK.
        profile: None is that of the SDK.
        attempts: of each call.
    """

    def __init__(self, region: str | None, profile: str | None, attempts: int = _ATTEMPTS) -> None:
        self._region = region
        self._attempts = attempts
        self._profile = profile
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str | None], Any] = {}

    @property
    def region(self) -> str:
        """Return the region.

        Raises:
            BlockRejectedError: none is set.
        """
        try:
            found = self._client("ec2").meta.region_name
        except BotoCoreError as error:
            raise self._error("EC2", "its client", error) from error
        return str(found)

    @property
    def where(self) -> str:
        """Return the name for messages; asks nothing."""
        return f"EC2 in {self._region}" if self._region else "EC2"

    def call(
        self, operation: str, arguments: Mapping[str, Any], service: str = "ec2", region: str | None = None
    ) -> Any:  # noqa: ANN401 - the service's answer
        """Call *operation*, such as ``run_instances``, and return the answer.

        Raises:
            BlockError: as `errors.error_for`.
        """
        try:
            return getattr(self._client(service, region), operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise self._error(service, operation, error) from error

    def pages(self, operation: str, arguments: Mapping[str, Any], key: str, service: str = "ec2") -> Iterator[Any]:
        """Yield all entries of *key* in the answers of a call with pages."""
        token: dict[str, str] = {}
        limit = (
            {} if any(name.endswith("Ids") or name == "InstanceTypes" for name in arguments) else {"MaxResults": _PAGE}
        )
        if operation == "describe_instance_types" and limit:
            limit = {"MaxResults": 100}  # the most that it takes
        while True:
            answer = self.call(operation, {**arguments, **limit, **token}, service)
            yield from answer.get(key) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def close(self) -> None:
        """Close connections."""
        with self._lock:
            clients, self._clients, self._session = list(self._clients.values()), {}, None
        for one in clients:
            one.close()

    def _client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - made by boto3 at run time
        with self._lock:  # sessions are not thread-safe, clients are
            found = self._clients.get((service, region))
            if found is None:
                if self._session is None:
                    self._session = boto3.session.Session(region_name=self._region, profile_name=self._profile)
                found = self._session.client(service, region_name=region, config=_config(self._attempts))
                found.meta.events.register_first("needs-retry.ec2.RunInstances", _leave_capacity_alone)
                self._clients[service, region] = found
            return found

    def _error(self, service: str, operation: str, error: Exception) -> BlockError:
        where = self.where if service == "ec2" else f"The service {service} of AWS"
        name = "".join(word.capitalize() for word in operation.split("_"))
        if isinstance(error, ClientError):
            failure = failure_of(error, name)
            if failure.code in EXPIRED:
                self.close()
            return error_for(failure, where)
        if isinstance(error, _LOGIN):
            self.close()
            return BlockRejectedError(
                f"{where} was not asked: {error}. cnflow uses the credentials of the AWS SDK: its variables, the files "
                "in ~/.aws, 'aws sso login', or the role of a machine of EC2. Try: aws sts get-caller-identity"
            )
        if isinstance(error, ProfileNotFound):
            return BlockRejectedError(f"{error}. Check the option profile of EC2Provider, and ~/.aws/config.")
        if isinstance(error, NoRegionError):
            return BlockRejectedError("No region is set. Set region='...' of EC2Provider, or AWS_REGION.")
        if isinstance(error, (ConnectionError, HTTPClientError)):
            return BlockError(f"{where} does not answer {name}: {error}")
        return BlockError(f"{where} failed at {name}: {type(error).__name__}: {error}")


def failure_of(error: ClientError, operation: str) -> Failure:
    """Return what *error* has of the answer."""
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    said = metadata.get("HTTPHeaders", {}).get("date", "")
    try:
        skew = time.time() - email.utils.parsedate_to_datetime(said).timestamp() if said else 0.0
    except ValueError:
        skew = 0.0
    return Failure(
        code=str(details.get("Code", "")),
        message=str(details.get("Message", "")),
        operation=operation,
        status=int(metadata.get("HTTPStatusCode", 400)),
        skew=skew,
    )


def _config(attempts: int) -> Config:
    return Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        max_pool_connections=_AT_ONCE,
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        user_agent_extra="cnflow",
    )


def _leave_capacity_alone(response: Any = None, **_: Any) -> None:  # noqa: ANN401 - a hook of botocore
    """Have botocore not repeat a call that found no capacity: EC2 answers it with the status 500, as its own failures.

    botocore asks its handlers for a pause before the next attempt, and has no answer for "never": it decides by the
    status, which is changed here.
    """
    if response is not None and (response[1].get("Error") or {}).get("Code") in NO_CAPACITY:
        response[0].status_code = 400
