"""Stores through fsspec: the APIs of S3 and Google's Cloud Storage, a real sshd, and fsspec's own store in memory."""

import contextlib
import getpass
import sys
import uuid

import fsspec
import pytest

import cnflow
from cnflow import Config, File, python_app
from cnflow.config import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import DependencyError, StagingError
from cnflow.staging import FsspecStaging
from cnflow.testing.contracts.staging import StagingContract, Target
from tests.conftest import store_addresses
from tests.services.sshd_server import Sshd

pytestmark = [pytest.mark.timeout(120)]

ENDPOINTS = {name: f"http://{host}:{port}" for name, (host, port) in store_addresses().items()}
S3 = {"endpoint_url": ENDPOINTS["s3"], "key": "me", "secret": "env:CNFLOW_TEST_S3_SECRET"}


class Names(StagingContract):
    """Its names are keys and paths as written: none is decoded."""

    names = ("plain.txt", "with blank.txt", "naïve-мир.txt", "100%.txt", "-dash", "it's \";&$()", "a#b?c", "[x]*")


class TestMemory(Names):
    """For fsspec itself: no server."""

    @pytest.fixture
    def staging(self):
        return FsspecStaging(schemes=["memory"], tries=1)

    @pytest.fixture
    def store(self):
        folder = uuid.uuid4().hex

        def put(place, name, content):
            fsspec.filesystem("memory").pipe_file(f"/{folder}/{place}/{name}", content)
            return File(f"memory://{folder}/{place}/{name}")

        return put

    @pytest.fixture
    def missing(self):
        return File("memory://nowhere/x")

    @pytest.fixture
    def target(self):
        folder = uuid.uuid4().hex

        def read(name):
            system = fsspec.filesystem("memory")
            return system.cat_file(f"/{folder}/{name}") if system.exists(f"/{folder}/{name}") else None

        return lambda name: Target(File(f"memory://{folder}/{name}"), lambda: read(name))


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setenv("CNFLOW_TEST_S3_SECRET", "secret of the store")
    system = fsspec.filesystem("s3", **{**S3, "secret": "secret of the store"}, use_listings_cache=False)
    name = f"test-{uuid.uuid4().hex}"
    system.mkdir(name)
    return name, system


@pytest.mark.s3
class TestS3(Names):
    @pytest.fixture(params=["in_task", "driver"])
    def staging(self, request):
        return FsspecStaging({"s3": S3}, way=request.param, tries=2, pause=0.1)

    @pytest.fixture
    def store(self, bucket):
        name, system = bucket

        def put(place, file, content):
            system.pipe_file(f"{name}/{place}/{file}", content)
            return File(f"s3://{name}/{place}/{file}")

        return put

    @pytest.fixture
    def missing(self, bucket):
        return File(f"s3://{bucket[0]}/nowhere")

    @pytest.fixture
    def target(self, bucket):
        name, system = bucket

        def read(file):
            return system.cat_file(f"{name}/out/{file}") if system.exists(f"{name}/out/{file}") else None

        return lambda file: Target(File(f"s3://{name}/out/{file}"), lambda: read(file))


@pytest.mark.s3
def test_files_of_google_come_and_go(run, monkeypatch, tmp_path):
    monkeypatch.setenv(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # else gcsfs asks by gRPC, which the stand-in lacks
    options = {"gs": {"endpoint_url": ENDPOINTS["gcs"], "token": "anon", "project": "tests"}}
    name = f"test-{uuid.uuid4().hex}"
    system = fsspec.filesystem("gs", **options["gs"], use_listings_cache=False)
    system.mkdir(name)
    system.pipe_file(f"{name}/a b/naïve #1?", b"hello")
    run(FsspecStaging(options, tries=1))
    task = upper(File(f"gs://{name}/a b/naïve #1?"), outputs=[File(f"gs://{name}/100%")])
    task.outputs[0].result(60)
    assert system.cat_file(f"{name}/100%") == b"HELLO"
    assert f"gs://{name}/no could not be fetched: it does not exist" in failure(read(File(f"gs://{name}/no")))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    settings = "UsePAM no\nSubsystem sftp internal-sftp\n"
    server = Sshd(tmp_path_factory.mktemp("sftp") / "sshd", settings=settings)
    yield server
    server.stop()


@pytest.fixture
def sftp(host):
    options = {"key_filename": str(host.folder / "user"), "known_hosts": str(host.folder / "known")}
    return {"sftp": {**options, "allow_agent": False, "look_for_keys": False}}


@pytest.mark.sshd
class TestSFTP(Names):
    @pytest.fixture
    def staging(self, sftp):
        return FsspecStaging(sftp, way="in_task", tries=2, pause=0.1)

    @pytest.fixture
    def at(self, host):
        return lambda path: File(f"sftp://{getpass.getuser()}@127.0.0.1:{host.port}{path}")

    @pytest.fixture
    def store(self, at, tmp_path):
        def put(place, name, content):
            path = tmp_path / "host" / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return at(path)

        return put

    @pytest.fixture
    def missing(self, at, tmp_path):
        return at(tmp_path / "nowhere")

    @pytest.fixture
    def target(self, at, tmp_path):
        def place(name):
            path = tmp_path / "made" / "out" / name
            return Target(at(path), lambda: path.read_bytes() if path.exists() else None)

        return place


@pytest.fixture
def run(tmp_path):
    """Start a run with this staging."""
    with contextlib.ExitStack() as stack:

        def start(staging, cls=ThreadPoolExecutor):
            config = Config(executors=[cls(storage_access=[staging])], run_dir=str(tmp_path / "runs"))
            return stack.enter_context(cnflow.load(config))

        yield start


@python_app
def upper(file, outputs=()):
    from pathlib import Path

    Path(outputs[0]).write_bytes(Path(file).read_bytes().upper())


@python_app
def read(file):
    from pathlib import Path

    return Path(file).read_bytes()


def failure(task):
    error = task.exception(60)
    root = error.root_cause if isinstance(error, DependencyError) else error
    assert isinstance(root, StagingError), root
    return str(root)


@pytest.mark.s3
def test_worker_reads_the_secret_of_a_bucket_from_its_own_variable(bucket, run):
    name, system = bucket
    system.pipe_file(f"{name}/x", b"hello")
    run(FsspecStaging({"s3": S3}, way="in_task"), HighThroughputExecutor)
    task = upper(File(f"s3://{name}/x"), outputs=[File(f"s3://{name}/y")])
    task.outputs[0].result(60)
    assert system.cat_file(f"{name}/y") == b"HELLO"


@pytest.mark.s3
def test_object_comes_once_to_a_node_until_it_changes(bucket, run):
    name, system = bucket
    system.pipe_file(f"{name}/x", b"one")

    @python_app
    def read_with_inode(file):
        from pathlib import Path

        return Path(file).read_bytes(), Path(file).stat().st_ino

    run(FsspecStaging({"s3": S3}, way="in_task"), HighThroughputExecutor)
    seen = {task.result(60) for task in [read_with_inode(File(f"s3://{name}/x")) for _ in range(8)]}
    assert len(seen) == 1
    system.pipe_file(f"{name}/x", b"two")
    assert read_with_inode(File(f"s3://{name}/x")).result(60)[0] == b"two"


@pytest.mark.s3
def test_missing_bucket_object_and_secret_are_named(bucket, run, monkeypatch):
    run(FsspecStaging({"s3": S3}, tries=1))
    name, _ = bucket
    assert f"s3://{name}/nowhere could not be fetched" in failure(read(File(f"s3://{name}/nowhere")))
    assert "bucket does not exist" in failure(read(File("s3://no-such-bucket/x")))
    monkeypatch.delenv("CNFLOW_TEST_S3_SECRET")
    text = failure(read(File(f"s3://{name}/x")))
    assert "no variable 'CNFLOW_TEST_S3_SECRET'" in text
    assert "secret of the store" not in text


@pytest.mark.sshd
def test_host_that_is_not_known_is_not_spoken_to(host, sftp, run, tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "none").touch()
    options = {"sftp": {**sftp["sftp"], "known_hosts": str(tmp_path / "none")}}
    run(FsspecStaging(options, tries=1))
    before = host.logins()
    text = failure(read(File(f"sftp://{getpass.getuser()}:secret@127.0.0.1:{host.port}{tmp_path}/x")))
    assert "cannot be told from another machine" in text
    assert "secret" not in text
    assert host.logins() == before


@pytest.mark.sshd
def test_transfer_goes_on_where_its_connection_was_cut(host, sftp, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 160_000)
    file = File(f"sftp://{getpass.getuser()}@127.0.0.1:{host.port}{source}")
    file.local_path = str(tmp_path / "copy")
    mover = FsspecStaging(sftp, tries=3, pause=0.1).mover
    from cnflow.tasks.staging import stores

    parts = []
    write = stores._Download._write

    def cut_once(self, data):
        write(self, data)
        parts.append(len(data))
        if len(parts) == 2:
            host.cut()

    stores._Download._write = cut_once
    try:
        mover.bring(file)
    finally:
        stores._Download._write = write
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert sum(parts) == source.stat().st_size, "nothing came twice"


def test_content_is_compared_with_what_the_user_says(run):
    fsspec.filesystem("memory").pipe_file("/sums/x", b"abc")
    run(FsspecStaging(schemes=["memory"]))
    assert read(File("memory://sums/x", size=3)).result(60) == b"abc"
    assert "it has 3 bytes, and its File says 4" in failure(read(File("memory://sums/x", size=4)))


def test_missing_package_says_which_extra(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "adlfs", None)
    run(FsspecStaging(tries=1))
    text = failure(read(File("az://bucket/x")))
    assert "pip install 'cnflow[azure]'" in text
    assert "way='driver'" in text
