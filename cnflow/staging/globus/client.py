"""Calls of Globus: the only importer of its SDK. Each call may take seconds.

::

    client secret?  no ──> user app: tokens of `cnflow globus auth`, renewed by themselves; never a login in here
                    yes ─> client app: gets tokens, and consents, without a person
"""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from globus_sdk import (
    ClientApp,
    GlobusAPIError,
    GlobusAppConfig,
    GlobusSDKUsageError,
    NetworkError,
    TransferAPIError,
    TransferClient,
    TransferData,
    UserApp,
)
from globus_sdk.exc import GlobusError
from globus_sdk.login_flows import CommandLineLoginFlowManager, LoginFlowManager
from globus_sdk.token_storage import JSONTokenStorage
from globus_sdk.transport import RetryConfig

from cnflow.errors import StagingError
from cnflow.staging.globus.events import Problem, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from globus_sdk import AuthLoginClient, GlobusApp, OAuthTokenResponse
    from globus_sdk.gare import GlobusAuthorizationParameters
    from globus_sdk.token_storage import TokenStorageData

    from cnflow.staging.globus.credentials import Credentials
    from cnflow.staging.globus.events import Copy

_PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})
_EVENTS = 20
"""Newest events of a transfer among which its newest error is looked for."""


class GlobusCallError(Exception):
    """A call failed, for the reason that is its problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.words)
        self.problem = problem


class TransferOptions(NamedTuple):
    """Options of every transfer of a staging."""

    label: str
    encrypt: bool = False


class _NoLogin(LoginFlowManager):
    """Raises where the SDK would ask a person, which nobody would see in a run."""

    command = "cnflow globus auth"

    @classmethod
    def for_globus_app(cls, *, app_name: str, login_client: AuthLoginClient, config: GlobusAppConfig) -> _NoLogin:
        """Return the one of an application, as the SDK asks for it."""
        del app_name, config
        return cls(login_client)

    def run_login_flow(self, auth_parameters: GlobusAuthorizationParameters) -> OAuthTokenResponse:
        """Raise the error that names the command."""
        del auth_parameters
        raise StagingError(f"Globus has no valid tokens of you. Run: {self.command}")


class _Tokens(JSONTokenStorage):
    """Tokens in a file that several drivers may read and renew at the same time, and nobody else may read."""

    def _raw_load(self) -> dict[str, Any]:
        Path(self.filepath).chmod(0o600)
        return super()._raw_load()

    def store_token_data_by_resource_server(
        self, token_data_by_resource_server: Mapping[str, TokenStorageData]
    ) -> None:
        with self._locked(fcntl.LOCK_EX):
            super().store_token_data_by_resource_server(token_data_by_resource_server)

    def get_token_data_by_resource_server(self) -> dict[str, TokenStorageData]:
        with self._locked(fcntl.LOCK_SH):
            return super().get_token_data_by_resource_server()

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        lock = Path(f"{self.filepath}.lock")
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock.open("a") as file:
            fcntl.flock(file, kind)
            yield


class GlobusClient:
    """One application that acts for one user, or for itself.

    Args:
        credentials: who it is.
        is_interactive: it may ask a person at the terminal to log in.
    """

    def __init__(self, credentials: Credentials, *, is_interactive: bool = False) -> None:
        self._is_user = not credentials.secret
        self._tokens = _Tokens(credentials.token_file)
        login: Any = CommandLineLoginFlowManager if is_interactive else _NoLogin
        self._app: GlobusApp
        with _in_words("use the application"):
            if self._is_user:
                config = GlobusAppConfig(
                    login_flow_manager=login, token_storage=self._tokens, request_refresh_tokens=True
                )
                self._app = UserApp("cnflow", client_id=credentials.client_id, config=config)
            else:
                config = GlobusAppConfig(token_storage=self._tokens)
                self._app = ClientApp(
                    "cnflow", client_id=credentials.client_id, client_secret=credentials.secret, config=config
                )
        self._api = TransferClient(app=self._app, retry_config=RetryConfig(max_retries=2))

    def close(self) -> None:
        """Close connections and files."""
        self._app.close()
        self._tokens.close()

    # For the command line

    def add_data_access(self, collections: Iterable[str]) -> None:
        """Have the next login ask for the consent that these collections need."""
        self._api.add_app_data_access_scope(list(collections))

    def log_in(self, *, is_forced: bool = False) -> bool:
        """Log in where the tokens and consents do not suffice; return True if it did."""
        with _in_words("log in"):
            if not is_forced and not self._app.login_required():
                return False
            self._app.login(force=is_forced)
            return True

    def log_out(self) -> None:
        """Revoke the tokens, and remove them."""
        with _in_words("log out"):
            self._app.logout()

    def needs_data_access(self, collection: str) -> bool:
        """Return True if tasks may use *collection* only after its user's consent: a mapped one of Connect Server."""
        with _in_words(f"look up the collection {collection}"):
            found = self._api.get_endpoint(collection)
            return found["entity_type"] == "GCSv5_mapped_collection" and not found.get("high_assurance")

    # For transfers; each raises GlobusCallError

    def new_submission(self) -> str:
        """Return an id for a submission: sent twice, it makes one transfer."""
        with _in_words("get an id for a transfer"):
            return str(self._api.get_submission_id()["value"])

    def submit(self, copies: Sequence[Copy], submission: str, options: TransferOptions) -> str:
        """Submit a transfer, and return its id."""
        first = copies[0]
        ends = (first.source.collection, first.target.collection)
        data = TransferData(
            *ends,
            label=options.label,
            submission_id=submission,
            verify_checksum=True,
            preserve_timestamp=True,
            encrypt_data=options.encrypt,
            skip_source_errors=True,  # and so the other files of the transfer are copied, and the bad ones are named
            fail_on_quota_errors=True,
            notify_on_succeeded=False,  # mails, thousands of them
            notify_on_failed=False,
            notify_on_inactive=False,
        )
        for copy in copies:
            more: dict[str, Any] = (
                {"external_checksum": copy.sha256, "checksum_algorithm": "SHA256"} if copy.sha256 else {}
            )
            data.add_item(copy.source.path, copy.target.path, recursive=copy.is_folder, **more)
        with _in_words("submit a transfer"):
            try:
                return str(self._api.submit_transfer(data)["task_id"])
            except TransferAPIError as error:
                if self._is_user or not error.info.consent_required:
                    raise
                self.add_data_access(_unconsented(error))  # an application consents for itself
                self._app.login(force=True)
                return str(self._api.submit_transfer(data)["task_id"])

    def status(self, transfer: str) -> Status:
        """Return the state of a transfer."""
        with _in_words(f"ask for the state of transfer {transfer}"):
            found = self._api.get_task(transfer)
            state, is_ok = str(found["status"]), found.get("is_ok") is not False
            skipped, copied = {}, frozenset[str]()
            if state == "SUCCEEDED" and found.get("subtasks_skipped_errors"):
                pages = self._api.paginated.task_skipped_errors(transfer).items()
                skipped = {each["source_path"]: _text(each["error_code"], each["error_details"]) for each in pages}
            if state == "FAILED":
                pages = self._api.paginated.task_successful_transfers(transfer).items()
                copied = frozenset(each["source_path"] for each in pages)
            error = "" if state == "SUCCEEDED" or (state == "ACTIVE" and is_ok) else self._error(found)
            return Status(state, is_ok, error, found["files_transferred"], found["bytes_transferred"], skipped, copied)

    def cancel(self, transfer: str) -> None:
        """Cancel a transfer; does nothing for one that is done."""
        with _in_words(f"cancel transfer {transfer}"):
            self._api.cancel_task(transfer)

    def _error(self, found: Any) -> str:  # noqa: ANN401 - a document of the service
        fatal = found.get("fatal_error") or {}
        if fatal.get("code") == "CANCELED":
            return _text("CANCELED", fatal.get("description"))
        events = self._api.task_event_list(found["task_id"], limit=_EVENTS)
        for event in events:  # newest first
            if event["is_error"]:
                return _text(event["code"], event["details"])
        return _text(fatal.get("code") or found.get("nice_status") or found["status"], fatal.get("description"))


def _text(code: object, details: object) -> str:
    return f"{code}: {details}" if details else str(code)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Raise errors of the SDK in the body as a `GlobusCallError` that begins with *what* was tried."""
    try:
        yield
    except StagingError as error:
        raise GlobusCallError(Problem(f"cannot {what}: {error}", is_passing=False)) from error
    except TransferAPIError as error:
        raise GlobusCallError(_problem(what, error)) from error
    except GlobusAPIError as error:
        words = f"cannot {what}: Globus Auth answers {error.http_status} {error.code}: {error.message}"
        if error.http_status in {400, 401, 403}:
            words += f" Log in again: {_NoLogin.command} --force"
        raise GlobusCallError(Problem(words, error.http_status in _PASSING)) from error
    except NetworkError as error:
        raise GlobusCallError(Problem(f"cannot {what}: Globus cannot be reached: {error}", is_passing=True)) from error
    except (GlobusError, GlobusSDKUsageError, ValueError, OSError) as error:  # such as a damaged file of tokens
        raise GlobusCallError(Problem(f"cannot {what}: {error}", is_passing=False)) from error


def _unconsented(error: TransferAPIError) -> list[str]:
    """Collections whose consent is missing: ``...:all[*https://auth.globus.org/scopes/UUID/data_access]`` names one."""
    needed = error.info.consent_required
    scopes = needed.required_scopes if needed else []
    return sorted({part.split("/data_access")[0] for scope in scopes for part in scope.split("/scopes/")[1:]})


def _problem(what: str, error: TransferAPIError) -> Problem:
    words = f"cannot {what}: Globus answers {error.http_status} {error.code}: {error.message}."
    if error.info.consent_required:
        scopes = error.info.consent_required.required_scopes
        collections = sorted(
            {part.split("/data_access")[0] for scope in scopes for part in scope.split("/scopes/")[1:]}
        )
        words += f" Run: {_NoLogin.command} {' '.join(collections)}"
    elif error.http_status == 401:  # noqa: PLR2004 - HTTP's
        words += f" Run: {_NoLogin.command} --force"
    return Problem(words, error.http_status in _PASSING)
