"""Contract of a staging (`cnflow.interfaces.Staging`), to be run on every staging.

Subclass `StagingContract` in a test module, name the subclass ``Test...``, and override its fixtures::

    hook                     gives                                                        must be overridden
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    staging (fixture)        the staging under test                                       yes
    store (fixture)          function: folder, name, content -> `File` that holds it      yes, if it stages in
    missing (fixture)        a `File` of its scheme that is not there                     yes, if it stages in
    target (fixture)         function: name -> `Target` that a task may write to          yes, if it stages out
    executor (fixture)       settings of the executor that tasks run on                   if not threads
    names                    names of files that it must move                             if its system forbids one
    stages_in, stages_out    False where it moves no file in that direction               if it does not
    missing_error            class of the error for `missing`, by default StagingError    if it moves no bytes
    writes_in_place          True where a task writes to the place that the URL names     if it moves no bytes

Way of a file in these tests::

    store ──> File ──can_stage_in──> stage_in, replace_task ──> task reads file.filepath
    task writes file.filepath ──> stage_out, replace_task_stage_out ──> Target.read() ──> bytes
"""

from __future__ import annotations

import copy
import os
import pickle
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest

from cnflow import Config, DataFlowKernel, File, python_app
from cnflow.assemble import new_run, start
from cnflow.config import ThreadPoolExecutor
from cnflow.errors import DependencyError, StagingError
from cnflow.staging import NoOpFileStaging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cnflow.config import ExecutorSettings
    from cnflow.interfaces import Staging

    Store = Callable[[str, str, bytes], File]

TIMEOUT = 60.0
"""Seconds for one task with its files."""


class Target(NamedTuple):
    """Place that a task may write a file to."""

    file: File
    read: Callable[[], bytes | None]
    """Content of the file where its URL says; None where there is no file."""


class StagingContract:
    """Promises of every staging; see the module for the hooks.

    For example, a staging for ``tape:`` that is installed as the package ``cnflow_tape``::

        from cnflow import File
        from cnflow.testing.contracts.staging import StagingContract
        from cnflow_tape import Library, TapeStaging
        import pytest


        class TestTape(StagingContract):
            stages_out = False

            @pytest.fixture
            def staging(self):
                return TapeStaging(retries=1)

            @pytest.fixture
            def store(self):
                return lambda folder, name, content: File(Library().write(f"{folder}/{name}", content))

            @pytest.fixture
            def missing(self):
                return File("tape:/nowhere/x")
    """

    # Hooks

    stages_in = True
    stages_out = True
    missing_error: ClassVar[type[BaseException]] = StagingError
    writes_in_place = False
    names: ClassVar[Sequence[str]] = (
        "plain.txt",
        "with blank.txt",
        "naïve-мир-世界.txt",
        "100%.txt",
        "-dash",
        ".hidden",
        "a'quote\".txt",
        "semi;colon&and$dollar",
        "x" * 150,
    )

    @pytest.fixture
    def staging(self) -> Staging:
        """Override: the staging under test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Store:
        """Override: puts content where the staging finds it, and returns its File."""
        self._skip_if(not self.stages_in)
        raise NotImplementedError

    @pytest.fixture
    def missing(self) -> File:
        """Override: a file that is not there."""
        self._skip_if(not self.stages_in)
        raise NotImplementedError

    @pytest.fixture
    def target(self) -> Callable[[str], Target]:
        """Override: a place for a file of that name."""
        self._skip_if(not self.stages_out)
        raise NotImplementedError

    @pytest.fixture
    def executor(self, staging: Staging) -> ExecutorSettings:
        """Settings of the executor, with the staging among its `storage_access`."""
        return ThreadPoolExecutor(max_threads=4, storage_access=[staging, NoOpFileStaging()])

    # Helpers

    def _skip_if(self, is_unsupported: bool) -> None:  # noqa: FBT001 - one condition, read at once
        if is_unsupported:
            pytest.skip(f"stages_in={self.stages_in}, stages_out={self.stages_out}")

    @pytest.fixture
    def run(self, executor: ExecutorSettings, tmp_path: Path) -> Iterator[DataFlowKernel]:
        """A run with the executor; it ends with the test."""
        run = new_run(Config(executors=[executor], run_dir=str(tmp_path / "runs")))
        start(run)
        yield run
        run.cleanup()

    @pytest.fixture
    def read(self, run: DataFlowKernel) -> Callable[..., Any]:
        """App that returns the contents of its arguments and inputs, which are files."""

        @python_app(data_flow_kernel=run)
        def read(*files: File, inputs: Sequence[File] = ()) -> list[bytes]:
            from pathlib import Path  # noqa: PLC0415 - runs elsewhere

            return [Path(file.filepath).read_bytes() for file in (*files, *inputs)]

        return read

    @pytest.fixture
    def write(self, run: DataFlowKernel) -> Callable[..., Any]:
        """App that writes content to its outputs, and then fails with *error*, if given."""

        @python_app(data_flow_kernel=run)
        def write(content: bytes, outputs: Sequence[File] = (), error: str = "") -> None:
            from pathlib import Path  # noqa: PLC0415 - runs elsewhere

            for output in outputs:
                Path(output.filepath).write_bytes(content)
            if error:
                raise ValueError(error)

        return write

    # A value

    def test_staging_survives_pickling_and_copying(self, staging: Staging) -> None:
        """A staging travels with the configuration."""
        assert pickle.loads(pickle.dumps(staging)) == staging
        assert copy.deepcopy(staging) == staging

    def test_staging_names_its_class_and_schemes(self, staging: Staging) -> None:
        """Error messages show the staging by its class, and the schemes that it moves."""
        assert repr(staging).startswith(type(staging).__name__)
        assert staging.schemes

    def test_foreign_scheme_is_left_to_other_stagings(self, staging: Staging) -> None:
        """`can_stage_in` and `can_stage_out` return False by the URL alone."""
        foreign = File("no-such-scheme://host/x")
        assert not staging.can_stage_in(foreign)
        assert not staging.can_stage_out(foreign)

    # In

    def test_file_is_read_by_a_task(self, staging: Staging, store: Store, read: Callable[..., Any]) -> None:
        """A task reads the file as an argument and among its inputs; the user's own File is not changed."""
        content = bytes(range(256)) * 1000
        file = store("a", "x.bin", content)
        assert staging.can_stage_in(file)
        assert read(file, inputs=[file]).result(TIMEOUT) == [content, content]
        assert file.local_path is None

    def test_empty_file_is_read_by_a_task(self, store: Store, read: Callable[..., Any]) -> None:
        """A file of zero bytes is staged like any other."""
        assert read(store("a", "empty", b"")).result(TIMEOUT) == [b""]

    def test_file_of_any_name_is_read_by_a_task(self, store: Store, read: Callable[..., Any]) -> None:
        """No name is changed that means something to a shell, a URL or a file system."""
        files = [store("names", name, name.encode()) for name in self.names]
        assert read(*files).result(TIMEOUT) == [name.encode() for name in self.names]

    def test_files_of_one_name_do_not_collide(self, store: Store, read: Callable[..., Any]) -> None:
        """One task reads two files of one name from different folders."""
        files = [store("a", "x.txt", b"a"), store("b", "x.txt", b"b")]
        assert read(*files).result(TIMEOUT) == [b"a", b"b"]

    def test_file_is_read_by_many_tasks(self, store: Store, read: Callable[..., Any]) -> None:
        """Twenty tasks read one file at the same time."""
        file = store("a", "x.txt", b"shared")
        assert [task.result(TIMEOUT) for task in [read(file) for _ in range(20)]] == [[b"shared"]] * 20

    def test_missing_file_is_an_error_and_leaves_no_copy(
        self, missing: File, read: Callable[..., Any], run: DataFlowKernel
    ) -> None:
        """The task fails; nothing is left that another task could take for the file."""
        error = read(missing).exception(TIMEOUT)
        root = error.root_cause if isinstance(error, DependencyError) else error
        assert isinstance(root, self.missing_error)
        assert _copies(run) == []

    # Out

    def test_output_is_where_its_url_says(
        self, staging: Staging, target: Callable[[str], Target], write: Callable[..., Any]
    ) -> None:
        """The file is complete once its DataFuture is done."""
        file, content = target("x.bin")
        assert staging.can_stage_out(file)
        task = write(b"written", outputs=[file])
        task.outputs[0].result(TIMEOUT)
        assert content() == b"written"

    def test_output_of_any_name_is_where_its_url_says(
        self, target: Callable[[str], Target], write: Callable[..., Any]
    ) -> None:
        """No name is changed that means something to a shell, a URL or a file system."""
        targets = [target(name) for name in self.names]
        task = write(b"written", outputs=[file for file, _ in targets])
        for output in task.outputs:
            output.result(TIMEOUT)
        assert [content() for _, content in targets] == [b"written"] * len(self.names)

    def test_output_is_the_input_of_another_task(
        self, target: Callable[[str], Target], write: Callable[..., Any], read: Callable[..., Any]
    ) -> None:
        """A task reads a file that another task wrote, passed on as a DataFuture."""
        task = write(b"handed on", outputs=[target("x.bin").file])
        assert read(task.outputs[0]).result(TIMEOUT) == [b"handed on"]

    def test_output_of_a_failed_task_is_not_taken_for_a_result(
        self, target: Callable[[str], Target], write: Callable[..., Any]
    ) -> None:
        """The DataFuture fails, and its file is not at the URL, unless the task itself writes there."""
        file, content = target("x.bin")
        task = write(b"half", outputs=[file], error="no rows")
        assert isinstance(task.exception(TIMEOUT), ValueError)
        assert task.outputs[0].exception(TIMEOUT) is not None
        assert self.writes_in_place or content() is None


def _copies(run: DataFlowKernel) -> list[str]:
    """Files that stagings have left in the folder of the run."""
    # A folder may vanish meanwhile: `os.walk` passes over it, `Path.rglob` does not.
    return [f"{folder}/{name}" for folder, _, names in os.walk(run.run_dir / "staged") for name in names]
