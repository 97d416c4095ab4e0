"""Files over the connection of the tasks: a staging that moves all paths, as where no file system is shared."""

import hashlib
import os
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.errors import DependencyError, MissingOutputs, StagingError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.staging import BuiltInStaging


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("travel")
    executors = [
        HighThroughputExecutor(label="htex", max_workers=2, storage_access=[BuiltInStaging()]),
        ThreadPoolExecutor(label="threads", max_threads=2),
    ]
    with cnflow.load(Config(executors=executors, run_dir=str(folder / "runs"), retries=0)) as run:
        yield run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@python_app(executors="htex")
def read(*files, inputs=()):
    return [(Path(file).name, Path(file).read_text()) for file in (*files, *inputs)]


@python_app(executors="htex")
def write(text, outputs=()):
    for output in outputs:
        Path(output).write_text(text)
    return outputs[0].filepath


@python_app(executors="threads")
def write_here(text, outputs=()):
    Path(outputs[0]).write_text(text)


@bash_app(executors="htex")
def shout(text, inputs=(), outputs=(), stdout=None, stderr=None):
    return f"echo {text}; cat {inputs[0]} > {outputs[0]}; echo fault >&2"


def test_inputs_of_one_name_in_two_folders(folder):
    for owner in ("ann", "bob"):
        (folder / owner).mkdir()
        (folder / owner / "a.csv").write_text(owner)
    future = read(File("ann/a.csv"), inputs=[File(str(folder / "bob" / "a.csv"))])
    assert future.result(30) == [("a.csv", "ann"), ("a.csv", "bob")]


def test_output_is_where_it_was_asked_for_when_its_future_is_done(folder):
    future = write("made", outputs=[File("sub/b.txt")])
    assert future.outputs[0].result(30).filepath == str(folder / "sub" / "b.txt")
    assert (folder / "sub" / "b.txt").read_text() == "made"
    assert not Path(future.result()).exists(), "the task wrote to a folder of its own, which is removed"


def test_output_is_the_input_of_another_task(folder):
    made = write("chain", outputs=[File("c.txt")]).outputs[0]
    assert read(inputs=[made]).result(30) == [("c.txt", "chain")]


def test_bash_app_with_files_and_streams(folder):
    (folder / "in put.txt").write_text("content")
    (folder / "plain.txt").write_text("content")
    future = shout(
        "hello", inputs=[File("plain.txt")], outputs=[File("out.txt")], stdout=File("out.log"), stderr=File("err.log")
    )
    assert future.result(30) == 0
    assert (folder / "out.txt").read_text() == "content"
    assert future.stdout.result(30).filepath == "out.log"
    assert ((folder / "out.log").read_text(), (folder / "err.log").read_text()) == ("hello\n", "fault\n")


def test_streams_of_a_task_that_fails_are_here(folder):
    (folder / "plain.txt").write_text("content")

    @bash_app(executors="htex")
    def fail(inputs=(), stdout=None):
        return "echo last words; exit 3"

    with pytest.raises(cnflow.errors.BashExitFailure):
        fail(inputs=[File("plain.txt")], stdout=File("log.txt")).result(30)
    assert (folder / "log.txt").read_text() == "last words\n"


def test_missing_output_is_named(folder):
    @python_app(executors="htex")
    def nothing(outputs=()):
        return None

    with pytest.raises(MissingOutputs, match=r"no\.txt"):
        nothing(outputs=[File("no.txt")]).result(30)


def test_missing_input_is_named():
    with pytest.raises((StagingError, DependencyError), match=r"absent\.txt"):
        read(File("absent.txt")).result(30)


def test_content_with_another_checksum_is_refused(folder):
    (folder / "a.txt").write_text("a")
    with pytest.raises((StagingError, DependencyError), match="SHA-256"):
        read(File("a.txt", sha256="0" * 64)).result(30)


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 99}])
def test_shared_file_that_is_another_than_its_user_says_is_refused_and_stays(folder, wrong):
    @python_app(executors="threads")
    def text_of(file):
        return Path(file).read_text()

    (folder / "a.txt").write_text("a")
    right = File("a.txt", size=1, sha256=hashlib.sha256(b"a").hexdigest())
    assert text_of(right).result(30) == "a"
    with pytest.raises(StagingError, match=r"a\.txt is not what its task needs: it"):
        text_of(File("a.txt", **wrong)).result(30)
    assert (folder / "a.txt").read_text() == "a"


def test_folder_and_pattern(folder):
    @python_app(executors="htex")
    def copy(source, pattern, outputs=()):
        import shutil

        shutil.copytree(source, outputs[0], symlinks=True)
        for path in pattern.paths():
            shutil.copy(path, Path(outputs[1]).parent)

    (folder / "images" / "sub").mkdir(parents=True)
    (folder / "images" / "sub" / "x").write_text("x")
    (folder / "images" / "sub" / "x").chmod(0o754)
    (folder / "images" / "link").symlink_to("sub/x")
    for name in ("a.csv", "b.csv", "c.txt"):
        (folder / name).write_text(name)
    outputs = [File("copy", directory=True), File("out/*.csv", glob=True)]
    future = copy(File("images", directory=True), File("*.csv", glob=True), outputs=outputs)
    future.result(30)
    assert (folder / "copy" / "link").readlink() == Path("sub/x")
    assert (folder / "copy" / "sub" / "x").stat().st_mode & 0o777 == 0o754
    assert [Path(path).name for path in future.outputs[1].result().paths()] == ["a.csv", "b.csv"]


def test_program_that_a_task_makes_can_be_run_here_and_by_another_task(folder):
    @bash_app(executors="htex")
    def build(outputs=()):
        return f"printf '#!/bin/sh\\necho ran' > {outputs[0]}; chmod +x {outputs[0]}"

    @bash_app(executors="htex")
    def run_it(program, stdout=None):
        return f"{program}"

    built = build(outputs=[File("bin/tool")]).outputs[0]
    assert run_it(built, stdout=File("log")).result(30) == 0
    assert (folder / "log").read_text() == "ran\n"
    assert os.access(built.result(), os.X_OK)


@pytest.mark.parametrize("name", ["a b", "'\"", "-rf", "x\ny", "ü", "a%20b", "~x", "*"])
def test_odd_names(folder, name):
    (folder / name).write_text("odd")
    assert read(File(folder / name)).result(30) == [(name, "odd")]
    write("odd", outputs=[File(folder / "made" / name)]).result(30)
    assert (folder / "made" / name).read_text() == "odd"


def test_temporary_file_stays_on_its_node_and_is_read_by_another_task():
    made = write("temporary", outputs=[File.temp("t.txt")]).outputs[0]
    assert read(made).result(30) == [("t.txt", "temporary")]
    assert not made.result().is_here


def test_temporary_file_of_one_executor_is_read_on_another():
    @python_app(executors="threads")
    def here(file, outputs=()):
        text = Path(file).read_text() if file else "from threads"
        if outputs:
            Path(outputs[0]).write_text(text)
        return text

    made = here(None, outputs=[File.temp("t.txt")]).outputs[0]
    assert read(made).result(30) == [("t.txt", "from threads")]
    there = write("from a node", outputs=[File.temp("u.txt")]).outputs[0]
    assert here(there).result(30) == "from a node"


def test_sandboxed_command_leaves_its_relative_outputs(folder):
    @bash_app(executors="htex")
    def command(inputs=(), outputs=()):
        return "cat a.txt > out/b.txt"

    (folder / "a.txt").write_text("a")
    command(inputs=[File("a.txt")], outputs=[File("out/b.txt")], sandbox=True).result(30)
    assert (folder / "out" / "b.txt").read_text() == "a"


def test_streams_are_appended_to_what_is_there(folder):
    (folder / "log").write_text("before\n")
    (folder / "a").touch()
    shout("after", inputs=[File("a")], outputs=[File("o")], stdout=File("log")).result(30)
    assert (folder / "log").read_text() == "before\nafter\n"


def test_input_that_a_task_has_changed_is_sent_again_for_the_next(folder):
    @python_app(executors="htex")
    def change(file):
        Path(file).chmod(0o600)
        Path(file).write_text("changed")

    (folder / "a.txt").write_text("original")
    change(File("a.txt")).result(30)
    assert [task.result(30) for task in [read(File("a.txt")) for _ in range(4)]] == [[("a.txt", "original")]] * 4
    assert (folder / "a.txt").read_text() == "original"


def test_killed_task_leaves_no_folder(folder):
    @python_app(executors="htex")
    def die(file):
        import signal

        Path(file).with_name("left.txt").write_text("left")
        os.kill(os.getpid(), signal.SIGKILL)

    @python_app(executors="htex")
    def left_files():
        import glob
        import time

        # Path.rglob fails where a folder is removed meanwhile.
        left = [Path(path) for path in glob.glob(f"{os.environ['CNFLOW_AREA']}/tasks/**/left.txt", recursive=True)]  # noqa: PTH207
        for _ in range(100):  # the manager removes it while another worker starts
            if not left:
                break
            time.sleep(0.05)
            left = [path for path in left if path.exists()]
        return [str(path) for path in left]

    (folder / "a.txt").write_text("a")
    with pytest.raises(cnflow.errors.WorkerLost):
        die(File("a.txt")).result(30)
    assert left_files().result(30) == []


def test_temporary_files_in_the_folder_of_a_run_end_with_it(folder, run):
    cnflow.clear()
    try:
        with cnflow.load(Config(executors=[ThreadPoolExecutor(label="threads")], run_dir="runs")) as other:
            made = write_here("x", outputs=[File.temp("t.txt")]).outputs[0]
            assert Path(made.result(30).filepath).read_text() == "x"
        assert not list(Path(other.run_dir).glob("staged/*"))
    finally:
        cnflow.dataflow.loaded_run.set_current(run)


def test_both_streams_in_one_file_come_once(folder):
    (folder / "a").touch()
    shout("out", inputs=[File("a")], outputs=[File("o")], stdout=File("log"), stderr=File("log")).result(30)
    assert sorted((folder / "log").read_text().split()) == ["fault", "out"]


@pytest.mark.parametrize("executor", ["htex", "threads"])
def test_pattern_of_several_folders(folder, executor):
    @python_app(executors=executor)
    def make(outputs=()):
        for name in ("p/x.csv", "q/x.csv", "q/y.csv"):
            path = Path(outputs[0]).parents[1] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    @python_app(executors=executor)
    def contents(files):
        return [Path(path).read_text() for path in files.paths()]

    made = make(outputs=[File("g/*/x.csv", glob=True)]).outputs[0]
    assert contents(made).result(30) == ["p/x.csv", "q/x.csv"]
    assert contents(File("g/*/x.csv", glob=True)).result(30) == ["p/x.csv", "q/x.csv"]
    with pytest.raises(MissingOutputs, match=r"none/\*/x\.txt"):
        make(outputs=[File("none/*/x.txt", glob=True)]).result(30)


@pytest.mark.parametrize("executor", ["htex", "threads"])
def test_sandboxed_command_leaves_a_folder_and_what_matches_a_pattern(folder, executor):
    @bash_app(executors=executor)
    def command(outputs=()):
        return "mkdir -p r/s; touch r/a.csv r/c.txt r/s/b.csv"

    outputs = [File("r/*.csv", glob=True), File("r/s", directory=True)]
    command(outputs=outputs, sandbox=True).result(30)
    assert sorted(str(path.relative_to(folder)) for path in (folder / "r").rglob("*")) == [
        "r/a.csv",
        "r/s",
        "r/s/b.csv",
    ]


@pytest.mark.parametrize("executor", ["htex", "threads"])
def test_temporary_file_is_read_by_several_tasks_and_passed_as_the_file_that_it_is(executor):
    @python_app(executors=executor)
    def make(outputs=()):
        Path(outputs[0]).write_text("temporary")

    @python_app(executors=executor)
    def text_of(file):
        return Path(file).read_text()

    made = make(outputs=[File.temp("t.txt")]).outputs[0]
    assert text_of(made).result(30) == text_of(made).result(30) == text_of(made.result()).result(30) == "temporary"
    with pytest.raises(DependencyError, match="was made by no task"):
        text_of(File.temp("never.txt")).result(30)
