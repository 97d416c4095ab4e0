"""`StagingContract` on every staging of cnflow."""

import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from cnflow import File
from cnflow.config import HighThroughputExecutor
from cnflow.errors import StagingError
from cnflow.staging import (
    BuiltInStaging,
    FTPInTaskStaging,
    FTPSeparateTaskStaging,
    HTTPInTaskStaging,
    HTTPSeparateTaskStaging,
    NoOpFileStaging,
    ZipFileStaging,
    ZipInTaskStaging,
)
from cnflow.testing.contracts.staging import StagingContract, Target


class TestFile(StagingContract):
    missing_error = FileNotFoundError  # the task's own: nothing is moved
    writes_in_place = True

    @pytest.fixture
    def staging(self):
        return NoOpFileStaging()

    @pytest.fixture
    def store(self, tmp_path):
        def put(folder, name, content):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            return File(path)

        return put

    @pytest.fixture
    def missing(self, tmp_path):
        return File(tmp_path / "nowhere")

    @pytest.fixture
    def target(self, tmp_path):
        def place(name):
            path = tmp_path / name
            return Target(File(path), lambda: path.read_bytes() if path.exists() else None)

        return place


class TestBuiltIn(TestFile):
    """Over the connection of the tasks: these write to folders of their own."""

    missing_error = StagingError
    writes_in_place = False

    @pytest.fixture
    def staging(self):
        return BuiltInStaging()

    @pytest.fixture
    def executor(self, staging):
        return HighThroughputExecutor(max_workers=2, storage_access=[staging])


class TestHTTP(StagingContract):
    @pytest.fixture(params=[HTTPSeparateTaskStaging, HTTPInTaskStaging])
    def staging(self, request):
        return request.param(tries=1)

    @pytest.fixture
    def store(self, web):
        return lambda folder, name, content: File(web.add(f"/{folder}/{quote(name)}", content))

    @pytest.fixture(params=["absent", "cut short"])
    def missing(self, web, request):
        web.add("/short", b"0123456789")
        web.troubles["/short"] = ["short"] * 9
        return File(f"{web.url}/nowhere" if request.param == "absent" else f"{web.url}/short")

    @pytest.fixture
    def target(self, web):
        def place(name):
            path = f"/out/{quote(name)}"
            return Target(File(f"{web.url}{path}"), lambda: web.files.get(path))

        return place


class TestHTTPOnProcesses(TestHTTP):
    @pytest.fixture
    def executor(self, staging):
        return HighThroughputExecutor(max_workers=2, storage_access=[staging, NoOpFileStaging()])


class TestFTP(StagingContract):
    @pytest.fixture(params=[FTPSeparateTaskStaging, FTPInTaskStaging])
    def staging(self, request):
        return request.param(tries=1)

    @pytest.fixture
    def store(self, ftp):
        def put(folder, name, content):
            path = ftp.folder / "public" / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            return File(f"{ftp.anonymous}/{folder}/{quote(name)}")

        return put

    @pytest.fixture
    def missing(self, ftp):
        return File(f"{ftp.anonymous}/nowhere")

    @pytest.fixture
    def target(self, ftp):
        def place(name):
            path = ftp.folder / "private" / "out" / name
            return Target(
                File(f"{ftp.with_password}/out/{quote(name)}"), lambda: path.read_bytes() if path.exists() else None
            )

        return place


class TestZip(StagingContract):
    @pytest.fixture(params=[ZipFileStaging, ZipInTaskStaging])
    def staging(self, request):
        return request.param()

    @pytest.fixture
    def store(self, tmp_path):
        def put(folder, name, content):
            with zipfile.ZipFile(tmp_path / "in.zip", "a") as archive:
                archive.writestr(f"{folder}/{name}", content)
            return File(f"zip:{tmp_path}/in.zip/{folder}/{name}")

        return put

    @pytest.fixture(params=["no archive", "no member", "damaged"])
    def missing(self, request, tmp_path, store):
        if request.param == "no archive":
            return File(f"zip:{tmp_path}/no.zip/x")
        store("a", "y", b"")
        if request.param == "damaged":
            Path(tmp_path / "in.zip").write_bytes(b"no archive")
        return File(f"zip:{tmp_path}/in.zip/a/x")

    @pytest.fixture
    def target(self, tmp_path):
        def member(name):
            try:
                with zipfile.ZipFile(tmp_path / "out.zip") as archive:
                    return archive.read(f"inner/{name}")
            except (FileNotFoundError, KeyError):
                return None

        return lambda name: Target(File(f"zip:{tmp_path}/out.zip/inner/{name}"), lambda: member(name))
