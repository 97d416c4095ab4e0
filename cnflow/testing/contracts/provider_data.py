"""Contract of a provider (`cnflow.interfaces.Provider`), second part: its data, and the secrets among them.

Derive one class from `cnflow.testing.contracts.provider.ProviderContract`, whose fixtures these tests use, and
`ProviderDataContract`. Further hooks::

    hook                          gives                                                    must be overridden
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
    printing_command (fixture)    prints "line 1" to "line 20", and runs on                if there is no POSIX shell
    delivers_files                False for a provider in memory, whose blocks have none   if it delivers none

Data in these tests::

    NodeCommand.files, e.g. the manager's settings ──submit──> file on the node, for the command's user alone
    output of the command ──> log file (`LogsVia.FOLLOWED`, `LogsVia.SHARED_FILE`)
                          └─> logs
    preview, check ──> shown to the user: neither keys nor values of secret variables
"""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from cnflow.model.block import BlockState
from cnflow.model.finding import Finding
from cnflow.model.node_command import NodeCommand
from cnflow.model.traits import LogsVia
from cnflow.testing.contracts.provider import SECRET_KEY, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.interfaces.provider import Provider
    from cnflow.model.traits import Traits
    from cnflow.testing.contracts.provider import MakeProvider, MakeRequest, Start, WaitUntil

PASSWORD = "hunter2-hunter2"  # noqa: S105 - to be looked for
SECRET_VARIABLES = {"DB_PASSWORD": PASSWORD, "API_TOKEN": PASSWORD}
LINES = [f"line {number}" for number in range(1, 21)]

SHOW_FILE = (
    'ls -ln "$1"; id -u; od -An -v -tx1 "$1" | tr -d " \\n"; rm -f "$1" 2>/dev/null; echo; env; echo end; '
    "while :; do sleep 0.1; done"
)
"""Script that prints mode and owner of a file, its user, the content in hexadecimal digits, and its variables."""


class ProviderDataContract:
    """Promises of every provider about its data; see the module for the hooks."""

    # Hooks

    delivers_files: ClassVar[bool] = True

    @pytest.fixture
    def printing_command(self) -> NodeCommand:
        """Command that prints `LINES` and runs on."""
        printed = "\\n".join(LINES)
        return NodeCommand(("sh", "-c", f"printf '{printed}\\n'; while :; do sleep 0.1; done"))

    # Data into a block

    def test_a_file_of_the_command_is_readable_by_its_user_alone(
        self, provider: Provider, make_request: MakeRequest, start: Start, traits: Traits, wait_until: WaitUntil
    ) -> None:
        """`submit` delivers `NodeCommand.files`, which hold keys, with mode 0600 or less, and puts no key elsewhere."""
        if not self.delivers_files or traits.logs is LogsVia.NONE:
            pytest.skip(f"delivers_files={self.delivers_files}, output comes by {traits.logs.value}")
        name, content = f"/tmp/cnflow-contract-{uuid.uuid4().hex}", make_request().manager.to_json()  # noqa: S108 - unique
        request = make_request(command=NodeCommand(("sh", "-c", SHOW_FILE, "sh", name), files={name: content}))
        block = start(provider, request)
        wait_until(lambda: b"\nend" in provider.logs(block, 0, 10_000))
        output = provider.logs(block, 0, 10_000).decode(errors="replace")
        listed, user, digits, *_ = output.splitlines()
        mode, _, owner, *_ = listed.split()
        assert mode[4:10] == "------", f"{mode}: group or others can read the file"
        assert owner == user
        assert bytes.fromhex(digits) == content
        assert SECRET_KEY not in output, "the environment of the block holds the key"

    # Data out of a block

    def test_output_lands_in_the_log_file_while_the_block_runs(
        self, provider: Provider, make_request: MakeRequest, start: Start, traits: Traits, wait_until: WaitUntil
    ) -> None:
        """The request's log file has the output, if the traits say so."""
        if traits.logs not in {LogsVia.FOLLOWED, LogsVia.SHARED_FILE}:
            pytest.skip(f"output comes by {traits.logs.value}")
        request = make_request()
        block = start(provider, request)
        wait_until(lambda: request.log_file.exists() and "ready" in request.log_file.read_text())
        assert state_of(provider, block) is BlockState.RUNNING

    def test_logs_are_the_last_lines_of_a_node(
        self,
        provider: Provider,
        make_request: MakeRequest,
        start: Start,
        traits: Traits,
        printing_command: NodeCommand,
        wait_until: WaitUntil,
    ) -> None:
        """`logs` returns as many lines of a running block as asked for, unless the traits deny it."""
        if traits.logs is LogsVia.NONE:
            pytest.skip("there is no way to the output")
        block = start(provider, make_request(command=printing_command))
        wait_until(lambda: LINES[-1].encode() in provider.logs(block, 0, 10))
        for last in (1, 3, 20):
            assert provider.logs(block, 0, last).decode().splitlines() == LINES[-last:]
        assert provider.logs(block, 0, 1000).decode().splitlines() == LINES

    # Data while other calls are out

    def test_calls_of_different_kinds_may_overlap(
        self, provider: Provider, make_request: MakeRequest, start: Start, wait_until: WaitUntil
    ) -> None:
        """`submit`, `find` with `status`, `cancel` and `logs` are called from a thread each, at the same time."""
        over, errors, looks = threading.Event(), [], []
        first, request = start(provider, make_request("0")), make_request("1")

        def look(call: Callable[[], object]) -> None:
            try:
                while not over.is_set():
                    call()
                    looks.append(call)
            except Exception as error:  # noqa: BLE001 - shown by the test
                errors.append(error)

        asks = (
            lambda: (provider.find(request.run, request.executor), provider.status([first])),
            lambda: provider.logs(first, 0, 5),
        )
        threads = [threading.Thread(target=look, args=(ask,)) for ask in asks]
        for thread in threads:
            thread.start()
        try:
            second = start(provider, request)
            assert provider.cancel([second]) == {}
            wait_until(lambda: errors or set(asks) <= set(looks))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert errors == []
        assert state_of(provider, first) is BlockState.RUNNING

    # Data shown to the user

    def test_a_preview_is_plain_data_without_secrets(
        self, make_provider: MakeProvider, make_request: MakeRequest
    ) -> None:
        """`preview` shows neither keys, nor contents of files, nor passwords in variables."""
        provider, request = make_provider(SECRET_VARIABLES), make_request()
        content = request.manager.to_json()
        with_file = NodeCommand(("true",), files={"/tmp/settings": content})  # noqa: S108 - never written
        for shown in (request, replace(request, command=None), replace(request, command=with_file)):
            text = json.dumps(dict(provider.preview(shown)))
            assert SECRET_KEY not in text
            assert PASSWORD not in text
        provider.close()

    def test_a_preview_starts_nothing(self, provider: Provider, make_request: MakeRequest) -> None:
        """`preview` changes nothing in the system."""
        request = make_request()
        provider.preview(request)
        assert provider.find(request.run, request.executor) == {}

    def test_checks_are_findings_without_secrets(self, make_provider: MakeProvider) -> None:
        """`check` returns findings, each with its subject and its words, and no password of a variable."""
        provider = make_provider(SECRET_VARIABLES)
        for finding in provider.check():
            assert isinstance(finding, Finding)
            assert finding.about
            assert finding.found
            assert PASSWORD not in repr(finding)
        provider.close()
