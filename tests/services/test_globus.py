"""`GlobusStaging` with the real SDK, against the stand-in of Globus that tests/services/globus/up starts."""

import hashlib
import shutil
import stat
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import ConfigurationError, DependencyError, StagingError
from cnflow.model.task import TaskState
from cnflow.staging import GlobusStaging, NoOpFileStaging
from cnflow.staging.globus.paths import Place
from cnflow.testing.contracts.staging import StagingContract, Target
from tests.services.globus_person import Globus

pytestmark = pytest.mark.globus

TIMEOUT = 60


@pytest.fixture
def globus(monkeypatch, tmp_path):
    """The stand-in, for a service account, which needs no person."""
    found = Globus()
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", "secret")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield found
    for collection in ("site", "archive", "laptop"):
        shutil.rmtree(found.folder(collection))


def make_staging(globus, **options):
    return GlobusStaging(globus.site, "/", str(globus.folder("site").parent), **options)


def make_executor(globus, **options):
    staging = make_staging(globus, **options)
    return ThreadPoolExecutor(
        max_threads=4, storage_access=[staging, NoOpFileStaging()], working_dir=str(globus.folder("site"))
    )


def store(globus, collection, name, content):
    path = globus.folder(collection) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return File(globus.file_url(collection, name))


class TestGlobus(StagingContract):
    @pytest.fixture
    def staging(self, globus):
        return make_staging(globus)

    @pytest.fixture
    def executor(self, globus):
        return make_executor(globus)

    @pytest.fixture
    def store(self, globus):
        return lambda folder, name, content: store(globus, "archive", f"{folder}/{name}", content)

    @pytest.fixture
    def missing(self, globus):
        return File(globus.file_url("archive", "nowhere"))

    @pytest.fixture
    def target(self, globus):
        def place(name):
            path = globus.folder("archive") / name
            return Target(File(globus.file_url("archive", name)), lambda: path.read_bytes() if path.exists() else None)

        return place


@pytest.fixture
def run(globus, tmp_path):
    with cnflow.load(Config(executors=[make_executor(globus)], run_dir=str(tmp_path / "runs"))) as found:
        yield found


@python_app
def size(file):
    return Path(file.filepath).stat().st_size


@python_app
def write(content, outputs=()):
    Path(outputs[0].filepath).write_text(content)


def cause(future):
    error = future.exception(TIMEOUT)
    return error.root_cause if isinstance(error, DependencyError) else error


def test_many_files_make_few_transfers(globus, run):
    files = [store(globus, "archive", f"{number}.txt", b"x" * number) for number in range(50)]
    assert [task.result(TIMEOUT) for task in [size(file) for file in files]] == list(range(50))
    assert len(globus.transfers()) < 5


def test_tasks_that_ask_at_the_same_time_share_a_copy_that_is_removed_with_the_last(globus, run, until):
    file = store(globus, "archive", "x.txt", b"xyz")
    assert [task.result(TIMEOUT) for task in [size(file) for _ in range(20)]] == [3] * 20
    (transfer,) = globus.transfers()
    assert transfer["files_transferred"] == 1
    until(lambda: not any(path.is_file() for path in globus.folder("site").rglob("*")))


@pytest.mark.parametrize("kind", ["threads", pytest.param("docker", marks=pytest.mark.docker)])
def test_files_pass_through_the_driver(kind, request, globus, until):
    options = {"storage_access": [make_staging(globus, through_driver=True), NoOpFileStaging()]}
    if kind == "docker":
        provider = DockerProvider(mount_folders=False)
        executor = HighThroughputExecutor(image=request.getfixturevalue("image_base"), provider=provider, **options)
    else:
        executor = ThreadPoolExecutor(**options)
    file = store(globus, "archive", "in.txt", b"12345")
    with cnflow.load(Config(executors=[executor], run_dir=str(globus.folder("site") / "runs"))):
        assert size(file).result(TIMEOUT) == 5
        task = write("out", outputs=[File(globus.file_url("archive", "out.txt"))])
        task.outputs[0].result(TIMEOUT)
        assert (globus.folder("archive") / "out.txt").read_text() == "out"
        del task
        until(lambda: not list(globus.folder("site").rglob("*.txt")))


def test_one_missing_file_fails_its_own_task_alone(globus, run):
    files = [store(globus, "archive", f"{number}.txt", b"x") for number in range(5)]
    good, bad = [size(file) for file in files], size(File(globus.file_url("archive", "nowhere")))
    assert [task.result(TIMEOUT) for task in good] == [1] * 5
    error = cause(bad)
    assert isinstance(error, StagingError)
    assert globus.file_url("archive", "nowhere") in str(error)
    assert "FILE_NOT_FOUND: No such file or directory" in str(error)


def test_file_of_the_nodes_own_collection_is_not_copied(globus, run):
    @python_app
    def path(file):
        return file.filepath

    file = store(globus, "site", "own.txt", b"own")
    assert path(file).result(TIMEOUT) == str(globus.folder("site") / "own.txt")
    assert globus.transfers() == []


def test_fault_that_passes_is_got_over(globus, run, caplog, until):
    file = store(globus, "archive", "x.bin", b"12345")
    globus.control("fault", path=f"{globus.name}/x.bin", code="ENDPOINT_ERROR", details="is down", **{"for": 1.8})
    task = size(file)
    assert task.task_status() == "staging_in"
    assert run.task_counts()[TaskState.STAGING_IN] == 1
    until(lambda: "is down" in run.explain(0))
    assert f"brings {file.url}: in a transfer with 1 files, 0 of them and 0 B so far; ENDPOINT_ERROR" in run.explain(0)
    assert task.result(TIMEOUT) == 5
    assert "Globus goes on after an error: ENDPOINT_ERROR: is down" in caplog.text


def test_lost_reply_makes_no_second_transfer(globus, run, caplog):
    file = store(globus, "archive", "x.bin", b"12345")
    globus.control("fault", path=f"{globus.name}/x.bin", http=503, when="after", times=4)  # the SDK itself tries 3
    assert size(file).result(TIMEOUT) == 5
    assert "injected: the reply is lost" in caplog.text
    assert len(globus.transfers()) == 1


def test_failure_quotes_the_newest_event_and_spares_the_other_files(globus, run):
    files = [store(globus, "archive", f"{number}.bin", b"x") for number in range(4)]
    full = f"{globus.name}/2.bin"
    globus.control("fault", path=full, code="QUOTA_EXCEEDED", fatal=True, details="disk full", times=99)
    tasks = [size(file) for file in files]
    assert "QUOTA_EXCEEDED: disk full" in str(cause(tasks.pop(2)))
    assert [task.result(TIMEOUT) for task in tasks] == [1, 1, 1]


def test_failed_transfer_is_made_again_under_its_own_budget(globus, tmp_path):
    file = store(globus, "archive", "x.bin", b"x")
    globus.control("fault", path=f"{globus.name}/x.bin", code="QUOTA_EXCEEDED", fatal=True)
    config = Config(executors=[make_executor(globus)], run_dir=str(tmp_path / "runs"), staging_retries=1)
    with cnflow.load(config):
        assert size(file).result(TIMEOUT) == 1
    assert [task["status"] for task in globus.transfers()] == ["FAILED", "SUCCEEDED"]


def test_transfer_whose_rights_expire_is_cancelled(globus, run):
    file = store(globus, "archive", "x.bin", b"x")
    globus.control(
        "fault", path=f"{globus.name}/x.bin", code="EXPIRED", status="INACTIVE", details="log in", **{"for": 30}
    )
    assert "the right to go on has expired: EXPIRED: log in" in str(cause(size(file)))
    assert [task["nice_status"] for task in globus.transfers()] == ["CANCELED"]


def test_end_of_a_run_cancels_its_transfers(globus, run, until):
    globus.control("fault", path=f"{globus.name}/out.bin", code="ENDPOINT_ERROR", **{"for": 30})
    output = write("x", outputs=[File(globus.file_url("archive", "out.bin"))]).outputs[0]
    until(globus.transfers)
    run.cleanup()
    error = output.exception(TIMEOUT)
    assert "the run ended before the transfer did" in str(error)
    assert (error.url, error.step) == (globus.file_url("archive", "out.bin"), "stage out")
    assert [task["nice_status"] for task in globus.transfers()] == ["CANCELED"]


def test_checksum_is_compared_by_globus(globus, run):
    file = store(globus, "archive", "x.bin", b"x")
    transfers = make_staging(globus)._transfers(run._data)
    places = [Place(globus.archive, f"/{globus.name}/x.bin"), Place(globus.site, f"/{globus.name}/copy.bin")]
    size(file).result(TIMEOUT)
    assert transfers.copy(*places, sha256=hashlib.sha256(b"x").hexdigest()).result(TIMEOUT) is None
    assert "VERIFY_CHECKSUM" in str(transfers.copy(*places, sha256="0" * 64).exception(TIMEOUT))


@pytest.fixture
def person(globus, monkeypatch):
    """The stand-in, for an application that acts for its user."""
    monkeypatch.delenv("GLOBUS_CLIENT_SECRET")
    return globus


def test_run_never_logs_in_but_names_the_command(person, run):
    file = store(person, "archive", "x.bin", b"x")
    assert "Run: cnflow globus auth" in str(cause(size(file)))


def test_run_names_the_command_that_consents(person, tmp_path):
    file = store(person, "archive", "x.bin", b"x")
    assert person.log_in()[0] == 0
    with cnflow.load(Config(executors=[make_executor(person)], run_dir=str(tmp_path / "runs"))):
        assert f"Run: cnflow globus auth {person.archive}" in str(cause(size(file)))


def test_one_login_suffices_for_runs(person, tmp_path):
    status, output, logins = person.log_in("--data-access", person.archive, person.site)
    assert (status, logins) == (0, 1), output
    tokens = tmp_path / "home" / ".globus" / "app" / person.client_id / "cnflow" / "tokens.json"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    status, output, logins = person.log_in(person.archive)
    assert (status, logins) == (0, 0), output
    file = store(person, "archive", "x.bin", b"x")
    with cnflow.load(Config(executors=[make_executor(person)], run_dir=str(tmp_path / "runs"))):
        person.control("forget", client=person.client_id)  # renewed by the refresh token
        assert size(file).result(TIMEOUT) == 1


def test_consent_of_a_mapped_collection_is_asked_for_after_looking_it_up(person):
    status, output, logins = person.log_in(person.archive, person.laptop)
    assert (status, logins) == (0, 2), output


def test_parsl_command_logs_in_and_a_second_time_does_nothing(person):
    code = "from cnflow.cli.commands.globus import parsl_globus_auth as run; run()"
    status, output, logins = person.log_in(command=("-c", code))
    assert (status, logins) == (0, 1), output
    assert "Authorization complete" in output
    assert person.log_in(command=("-c", code))[2] == 0
    assert person.log_in("globus", "logout", command=("-m", "cnflow.cli"))[0] == 0
    assert person.log_in()[2] == 1


def test_application_that_is_not_named_is_asked_for(globus, monkeypatch, run):
    monkeypatch.delenv("GLOBUS_CLIENT_ID")
    with pytest.raises(ConfigurationError, match="set GLOBUS_CLIENT_ID"):
        size(File(globus.file_url("archive", "x.bin")))


def test_copies_outside_of_the_mapped_folder_are_refused(globus, tmp_path):
    executor = ThreadPoolExecutor(storage_access=[make_staging(globus)])
    with (
        cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))),
        pytest.raises(ConfigurationError, match="Set its working_dir to a folder in that"),
    ):
        size(File(globus.file_url("archive", "x.bin")))
