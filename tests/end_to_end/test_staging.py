"""Staging of files in and out, on threads and on processes."""

import threading
import zipfile
from concurrent.futures import Future
from pathlib import Path

import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, File, bash_app, join_app, python_app
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.errors import (
    ConfigurationError,
    DependencyError,
    MissingOutputs,
    StagingError,
    UnknownNameError,
    ZipAuthorityError,
)
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.interfaces import Staging
from cnflow.staging import (
    FTPInTaskStaging,
    HTTPInTaskStaging,
    HTTPSeparateTaskStaging,
    NoOpFileStaging,
    ZipFileStaging,
)

SEPARATE = None
IN_TASK = [NoOpFileStaging(), HTTPInTaskStaging(tries=1), FTPInTaskStaging(tries=1), ZipFileStaging()]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Start a run on an executor with the given settings."""
    monkeypatch.chdir(tmp_path)
    runs = []

    def start(kind=ThreadPoolExecutor, **settings):
        more = {"max_workers": 2} if kind is HighThroughputExecutor else {}
        config = settings.pop("config", {})
        run = cnflow.load(Config(executors=[kind(**more, **settings)], run_dir=str(tmp_path / "runs"), **config))
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.cleanup()


KINDS = pytest.mark.parametrize("kind", [ThreadPoolExecutor, HighThroughputExecutor], ids=["threads", "processes"])
WAYS = pytest.mark.parametrize("access", [SEPARATE, IN_TASK], ids=["separate", "in_task"])


@python_app
def same(file):
    return file


@python_app
def read(*files, inputs=(), more=None):
    from pathlib import Path

    return [Path(file).read_text() for file in (*files, *inputs, *([more] if more else []))]


@python_app
def path_of(file):
    return file.filepath


@bash_app
def cat(inputs=(), outputs=()):
    return f"cat {' '.join(map(str, inputs))} > {outputs[0]}"


@bash_app
def say(word, outputs=(), stdout=None, stderr=None):
    return f"echo {word}; echo {word} {word} >&2; " + "".join(f"echo {word} > {output};" for output in outputs)


def read_zip(archive, name):
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name).decode()


@KINDS
@WAYS
class TestEachStaging:
    def test_files_of_servers_arrive_as_arguments_keywords_and_inputs(self, load, web, ftp, kind, access):
        (ftp.folder / "public" / "f.txt").write_text("four")
        urls = [web.add(f"/{name}", name.encode()) for name in ("one", "two", "three")]
        load(kind, storage_access=access)
        inputs = [File(urls[1]), File(f"{ftp.anonymous}/f.txt")]
        given = list(inputs)
        got = read(File(urls[0]), inputs=inputs, more=File(urls[2])).result(60)
        assert got == ["one", "two", "four", "three"]
        assert inputs == given, "the caller's list is his own"
        assert [file.local_path for file in inputs] == [None, None], "and so are his files"

    def test_files_of_the_same_name_do_not_collide(self, load, web, tmp_path, kind, access):
        urls = [web.add("/a/x.txt", b"a"), web.add("/b/x.txt", b"b")]
        load(kind, storage_access=access)
        assert read(*map(File, urls)).result(60) == ["a", "b"]
        cat(inputs=[*map(File, urls)], outputs=["ab.txt"]).result(60)
        assert (tmp_path / "ab.txt").read_text() == "ab"
        assert path_of(File(urls[0])).result(60).endswith("/x.txt"), "and each keeps its name"

    def test_status_404_fails_the_task(self, load, web, kind, access):
        load(kind, storage_access=access)
        with pytest.raises((StagingError, DependencyError), match="404") as caught:
            read(File(f"{web.url}/no.txt")).result(60)
        root = getattr(caught.value, "root_cause", caught.value)
        assert isinstance(root, StagingError)
        assert f"{web.url}/no.txt" in str(root)

    def test_file_in_an_archive_is_read_written_and_passed_on(self, load, tmp_path, kind, access):
        load(kind, storage_access=access)
        archive = tmp_path / "new" / "results.zip"
        first = say("hello", outputs=[File(f"zip:{archive}/a/x.txt"), File(f"zip:{archive}/b/x.txt")])
        second = cat(inputs=first.outputs, outputs=[File(f"zip:{archive}/both.txt")])
        assert read(second.outputs[0]).result(60) == ["hello\nhello\n"]
        assert read_zip(archive, "a/x.txt") == "hello\n"
        assert first.outputs[0].result(0).url == f"zip:{archive}/a/x.txt"

    def test_streams_are_staged_into_an_archive(self, load, tmp_path, kind, access):
        load(kind, storage_access=access)
        archive = tmp_path / "logs.zip"
        future = say("hi", stdout=File(f"zip:{archive}/out"), stderr=(File(f"zip:{archive}/err"), "w"))
        assert isinstance(future.stdout, DataFuture)
        assert future.stdout.result(60) == File(f"zip:{archive}/out")
        assert future.stderr.result(60) == File(f"zip:{archive}/err")
        assert (read_zip(archive, "out"), read_zip(archive, "err")) == ("hi\n", "hi hi\n")


@KINDS
def test_concurrent_tasks_do_not_corrupt_their_archive(load, tmp_path, kind):
    load(kind)
    archive = tmp_path / "results.zip"
    futures = [say(f"w{n}", outputs=[File(f"zip:{archive}/{n}.txt")]) for n in range(20)]
    for future in futures:
        future.outputs[0].result(60)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert sorted(opened.namelist()) == sorted(f"{n}.txt" for n in range(20))
    assert all(read_zip(archive, f"{n}.txt") == f"w{n}\n" for n in range(20))


def test_file_made_again_replaces_the_older_in_its_archive(load, tmp_path):
    load()
    archive = tmp_path / "results.zip"
    for word in ("old", "new"):
        for output in say(word, outputs=[File(f"zip:{archive}/x"), File(f"zip:{archive}/y")]).outputs:
            output.result(60)
    with zipfile.ZipFile(archive) as opened:
        assert sorted(opened.namelist()) == ["x", "y"]
    assert read_zip(archive, "x") == "new\n"


def test_failed_stage_out_fails_the_data_future_and_not_the_task(load, tmp_path):
    load()
    (tmp_path / "broken.zip").write_text("this is no archive")
    future = say("x", outputs=[File(f"zip:{tmp_path}/broken.zip/x"), "here.txt"])
    with pytest.raises(StagingError, match=r"broken\.zip"):
        future.outputs[0].result(60)
    assert future.result(60) == 0
    assert future.outputs[1].result(60) == File("here.txt")
    assert (tmp_path / "broken.zip").read_text() == "this is no archive"


def test_missing_output_for_an_archive_fails_the_task(load, tmp_path):
    load()

    @python_app
    def nothing(outputs=()):
        pass

    future = nothing(outputs=[File(f"zip:{tmp_path}/a.zip/x")])
    with pytest.raises(MissingOutputs):
        future.result(60)
    with pytest.raises(DependencyError, match="MissingOutputs"):
        future.outputs[0].result(60)


def test_failed_stage_in_is_the_root_cause_of_all_dependents(load, web):
    load()

    @python_app
    def fail(outputs=()):
        raise ValueError("no rows")

    with pytest.raises(DependencyError, match="no rows"):
        read(fail(outputs=["x.txt"]).outputs[0]).result(60)
    with pytest.raises(DependencyError) as caught:
        cat(inputs=[File(f"{web.url}/no")], outputs=["never"]).outputs[0].result(60)
    assert isinstance(caught.value.root_cause, StagingError)


def test_server_error_costs_a_retry_of_the_staging_task_alone(load, web):
    load(storage_access=[HTTPSeparateTaskStaging(tries=1)], config={"retries": 1})
    url = web.add("/x", b"found")
    web.troubles["/x"] = [503]
    assert read(File(url)).result(60) == ["found"]


def test_storage_access_replaces_the_default_stagings(load, web):
    load(storage_access=[NoOpFileStaging()])
    with pytest.raises(UnknownNameError, match="No scheme of files that can be staged in is called 'http'"):
        read(File(web.add("/x", b"")))
    with pytest.raises(UnknownNameError, match="staged out"):
        say("x", outputs=[File("zip:/a.zip/x")])
    assert cnflow.dfk().task_count == 0


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("zip://host/a.zip/x", ZipAuthorityError, "begins with the host 'host'"),
        ("zip:/a.zip", ConfigurationError, "names no file in an archive"),
        ("zip:/a.zip/../x", ConfigurationError, "names no file in an archive"),
        ("tape:/x", UnknownNameError, "No scheme"),
    ],
)
def test_file_that_no_staging_moves_is_refused_at_the_call(load, url, error, said):
    load()
    with pytest.raises(error, match=said):
        say("x", outputs=[File(url)])
    with pytest.raises(error, match=said):
        say("x", stdout=File(url))
    with pytest.raises(error, match=said):
        read(File(url))
    assert cnflow.dfk().task_count == 0


@KINDS
def test_copies_go_to_the_working_dir_of_the_executor(load, web, tmp_path, kind):
    (tmp_path / "work").mkdir()
    load(kind, working_dir=tmp_path / "work")
    url = web.add("/x.txt", b"")
    assert Path(path_of(File(url)).result(60)).is_relative_to(tmp_path / "work" / "staged")


def test_copies_go_to_the_run_dir_without_working_dir(load, web):
    run = load()
    url = web.add("/x.txt", b"")
    assert Path(path_of(File(url)).result(60)).is_relative_to(run.run_dir / "staged")


@KINDS
def test_copies_end_with_the_tasks_that_read_them(load, web, tmp_path, kind):
    run = load(kind)
    url = web.add("/x.txt", b"data")
    results = [read(File(url)) for _ in range(3)]
    kept = same(File(url)).result(60)
    assert [result.result(60) for result in results] == [["data"]] * 3
    assert Path(kept).read_text() == "data", "the result is the copy itself"
    run.cleanup()
    assert [path.name for path in (run.run_dir / "staged").iterdir()] == [Path(kept).parent.name]


@pytest.mark.parametrize("folder", [None, "work"], ids=["absolute", "relative"])
@WAYS
def test_sandbox_has_its_staged_inputs(load, web, tmp_path, folder, access):
    (tmp_path / "work").mkdir()
    load(HighThroughputExecutor, storage_access=access, working_dir=folder)
    url = web.add("/x.txt", b"data")
    assert read(File(url), sandbox=True).result(60) == ["data"]

    @bash_app
    def count(inputs=(), outputs=()):
        return f"cat {inputs[0]} > {outputs[0]}"

    count(inputs=[File(url)], outputs=[str(tmp_path / "out.txt")], sandbox=True).result(60)
    assert (tmp_path / "out.txt").read_text() == "data"


def test_join_app_gets_its_files(load, web):
    load()

    @join_app
    def twice(file):
        from pathlib import Path

        return [read(Path(file)), read(Path(file))]

    assert twice(File(web.add("/x", b"data"))).result(60) == [["data"], ["data"]]


def test_cached_result_is_used_for_equal_content_and_never_for_an_archive_output(load, web, tmp_path):
    load()
    url = web.add("/x", b"1")

    @python_app(cache=True)
    def number(file):
        with Path("calls").open("a") as calls:
            calls.write("!")
        return int(Path(file).read_text())

    assert [number(File(url)).result(60), number(File(url)).result(60)] == [1, 1]
    assert Path("calls").read_text() == "!"
    web.add("/x", b"2")
    assert number(File(url)).result(60) == 2

    @python_app(cache=True)
    def make(outputs=()):
        Path(outputs[0]).write_text("made")

    for _ in range(2):
        (tmp_path / "a.zip").unlink(missing_ok=True)
        make(outputs=[File(f"zip:{tmp_path}/a.zip/x")]).outputs[0].result(60)
        assert read_zip(tmp_path / "a.zip", "x") == "made"


class Depot(Staging):
    """A user's staging: its files are in a folder, and are moved within the task."""

    schemes = ("depot",)

    def __init__(self, folder):
        self.folder = folder

    def can_stage_in(self, file):
        return file.scheme == "depot"

    can_stage_out = can_stage_in

    def stage_in(self, dm, executor, file, parent_fut):
        file.local_path = dm.place(executor, file.filename)

    def replace_task(self, dm, executor, file, func):
        source, target = self.folder + file.path, file.local_path

        def bring_and_run(*args, **kwargs):
            import shutil
            from pathlib import Path

            Path(target).parent.mkdir(parents=True)
            shutil.copy(source, target)
            return func(*args, **kwargs)

        return bring_and_run

    def stage_out(self, dm, executor, file, app_fu):
        file.local_path = dm.place(executor, file.filename)

    def replace_task_stage_out(self, dm, executor, file, func):
        source, target = file.local_path, self.folder + file.path

        def run_and_take(*args, **kwargs):
            import shutil
            from pathlib import Path

            Path(source).parent.mkdir(parents=True)
            result = func(*args, **kwargs)
            shutil.move(source, target)
            return result

        return run_and_take


@KINDS
def test_users_staging_moves_files_in_the_task(load, tmp_path, kind):
    (tmp_path / "depot").mkdir()
    (tmp_path / "depot" / "in.txt").write_text("in")
    load(kind, storage_access=[Depot(str(tmp_path / "depot")), NoOpFileStaging()])
    made = cat(inputs=[File("depot:/in.txt")], outputs=[File("depot:/bash.txt")])
    assert read(made.outputs[0]).result(60) == ["in"]

    @python_app
    def write(text, outputs=()):
        from pathlib import Path

        Path(outputs[0]).write_text(text)
        return text

    again = write("out", outputs=[File("depot:/python.txt")])
    assert again.outputs[0].result(60) == File("depot:/python.txt")
    assert again.result(0) == "out"
    assert (tmp_path / "depot" / "python.txt").read_text() == "out"


class IntoFolder(Staging):
    """A user's staging, as Parsl's page shows one: copies go into a folder that has other files, too."""

    schemes = ("mine",)

    def __init__(self, folder):
        self.folder = folder

    def can_stage_in(self, file):
        return file.scheme == "mine"

    def stage_in(self, dm, executor, file, parent_fut):
        file.local_path = f"{self.folder}/{file.filename}"
        return dm.submit(executor, _write_copy, file, after=parent_fut)


def _write_copy(file):
    from pathlib import Path

    Path(file.local_path).write_text("copy")
    return file


def test_folder_of_a_users_staging_is_not_removed(load, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious.txt").write_text("ten years of work")
    run = load(storage_access=[IntoFolder(str(tmp_path / "data"))])
    assert read(File("mine://host/x.txt")).result() == ["copy"]
    run.cleanup()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["precious.txt", "x.txt"]


def test_output_of_a_failed_command_is_not_staged_out(load, tmp_path):
    (tmp_path / "depot").mkdir()
    load(storage_access=[Depot(str(tmp_path / "depot"))])

    @bash_app
    def half(outputs=()):
        return f"echo half > {outputs[0]}; exit 3"

    with pytest.raises(cnflow.errors.BashExitFailure):
        half(outputs=[File("depot:/x")]).result(60)
    assert not (tmp_path / "depot" / "x").exists()


_arrivals = {}


class Slow(Staging):
    """Staging whose stage-out ends when the test sets its future."""

    def can_stage_out(self, file):
        return file.scheme == "slow"

    def stage_out(self, dm, executor, file, app_fu):
        file.local_path = dm.place(executor, file.filename)
        return _arrivals[file.path]


def test_data_future_waits_for_the_stage_out_of_its_file(load):
    load(storage_access=[Slow(), NoOpFileStaging()])
    arrival = _arrivals["/x"] = Future()

    @python_app
    def make(outputs=()):
        Path(outputs[0].filepath).parent.mkdir(parents=True)
        Path(outputs[0]).write_text("")

    future = make(outputs=[File("slow:/x")])
    assert future.result(60) is None
    data = future.outputs[0]
    assert not data.done()
    arrival.set_result(None)
    assert data.result(60) == File("slow:/x")
    assert data.file_obj.local_path is None, "the copy is the task's own"


class Refusing(Staging):
    """Staging whose methods raise."""

    def can_stage_in(self, file):
        return True

    can_stage_out = can_stage_in

    def stage_in(self, dm, executor, file, parent_fut):
        raise ValueError("not in")

    def stage_out(self, dm, executor, file, app_fu):
        raise ValueError("not out")


def test_error_of_a_staging_is_raised_at_the_call_and_no_task_runs(load, tmp_path):
    run = load(storage_access=[Refusing()])
    with pytest.raises(ValueError, match="not in"):
        read(File("x"))
    with pytest.raises(ValueError, match="not out"):
        say("x", outputs=[str(tmp_path / "x")])
    run.wait_for_current_tasks()
    assert not (tmp_path / "x").exists()


def test_users_autopath_may_return_a_file_in_an_archive(load, tmp_path):
    load(config={"std_autopath": lambda record, stream: File(f"zip:{tmp_path}/logs.zip/{record.future.tid}.{stream}")})
    future = say("hi", stdout=AUTO_LOGNAME)
    assert future.stdout.result(60).url == f"zip:{tmp_path}/logs.zip/{future.tid}.stdout"
    assert read_zip(tmp_path / "logs.zip", f"{future.tid}.stdout") == "hi\n"


def test_autopath_that_raises_leaves_no_unfinished_task(load):
    def broken(record, stream):
        raise ValueError("no name")

    run = load(config={"std_autopath": broken})
    with pytest.raises(ValueError, match="no name"):
        say("hi", stdout=AUTO_LOGNAME)
    waiting = threading.Thread(target=run.wait_for_current_tasks, daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()


def test_changes_of_a_thread_to_its_files_stay_its_own(load):
    load()
    file = File("x.txt")

    @python_app
    def spoil(*files, outputs=()):
        for each in (*files, *outputs):
            each.local_path = "/spoilt"

    future = spoil(file, outputs=[File("made.txt")])
    with pytest.raises(MissingOutputs):
        future.result(60)
    assert file.local_path is None
    assert future.outputs[0].filepath == str(Path("made.txt").absolute())
