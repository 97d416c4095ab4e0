"""Files of real servers: nginx with TLS, FTP servers with TLS, and a proxy between."""

import hashlib
import os
from urllib.parse import quote, urlsplit

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import Secret
from cnflow.errors import DependencyError, MissingOutputs, StagingError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.staging import (
    FTPInTaskStaging,
    FTPSeparateTaskStaging,
    HTTPInTaskStaging,
    HTTPSeparateTaskStaging,
    NoOpFileStaging,
)
from cnflow.tasks.staging.attempts import RetryPolicy, repeat
from cnflow.tasks.staging.download import fetch
from cnflow.tasks.staging.ftp import FtpDownload, FtpUpload
from cnflow.tasks.staging.options import Content, ServerOptions
from cnflow.tasks.staging.secrets import SecretSource
from cnflow.tasks.staging.upload import send
from tests.services import file_servers

pytestmark = [pytest.mark.nginx, pytest.mark.timeout(120)]

POLICY = RetryPolicy(timeout=10.0, tries=2, pause=0.0)
NAMES = (
    "plain.txt",
    "with blank.txt",
    "naïve-世界.txt",
    "100%.txt",
    "-dash",
    "a'quote\".txt",
    "semi;&$#?",
    "line\nbreak",
)


@pytest.fixture(scope="module")
def proxy():
    with file_servers.proxy() as (address, asked):
        yield address, asked


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with file_servers.nginx(tmp_path_factory.mktemp("nginx")) as started:
        yield started


@pytest.fixture(scope="module")
def trusted(server):
    return ServerOptions(POLICY, authorities=(server.root / "ca.pem").read_text())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "made.bin"
    path.write_bytes(bytes(range(256)) * 4000)
    return path


# HTTP


def test_file_is_read_over_tls_with_the_users_authority(server, trusted, tmp_path):
    (server.files / "x").write_bytes(b"data")
    fetch(f"{server.url}/x", str(tmp_path / "x"), trusted)
    assert (tmp_path / "x").read_bytes() == b"data"


def test_certificate_that_is_not_trusted_is_refused_at_once_with_the_setting_that_names_it(server, tmp_path):
    with pytest.raises(StagingError, match=r"certificate is not trusted: .*ca_file=") as caught:
        fetch(f"{server.url}/x", str(tmp_path / "x"), ServerOptions(POLICY))
    assert "tries" not in str(caught.value)


def test_certificate_of_another_host_is_refused(server, trusted, tmp_path):
    with pytest.raises(StagingError, match="certificate is not trusted"):
        fetch(f"https://127.0.0.2:{server.port}/x", str(tmp_path / "x"), trusted)


def test_authority_that_is_no_certificate_is_refused(server, tmp_path):
    with pytest.raises(StagingError, match="holds no certificates in the form PEM"):
        fetch(f"{server.url}/x", str(tmp_path / "x"), ServerOptions(POLICY, authorities="nonsense"))


@pytest.mark.parametrize("name", NAMES)
def test_file_of_any_name_is_sent_and_read(server, trusted, tmp_path, file, name):
    url = f"{server.url}/up/{quote(name)}"
    send(str(file), url, trusted)
    assert (server.files / "up" / name).read_bytes() == file.read_bytes()
    fetch(url, str(tmp_path / "back"), trusted)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_missing_folders_are_made_on_a_server_with_webdav(server, trusted, file):
    send(str(file), f"{server.url}/up/new/deep/x", trusted)
    assert (server.files / "up/new/deep/x").read_bytes() == file.read_bytes()


def test_upload_follows_a_redirection_that_keeps_the_method(server, trusted, file):
    send(str(file), f"{server.url}/moved/x", trusted)
    assert (server.files / "up/moved/x").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("path", "words"),
    [("/x", "405 Not Allowed"), ("/full/x", "507"), ("/secret/x", "403 Forbidden"), ("/loop/a", "302")],
)
def test_upload_that_the_server_refuses_is_final_and_in_its_words(server, trusted, file, path, words):
    with pytest.raises(StagingError, match=rf"could not be sent to {server.url}{path}: .*{words}"):
        send(str(file), f"{server.url}{path}", trusted)


def test_upload_that_is_too_large_is_refused_in_the_servers_words(server, trusted, tmp_path):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(30 * 2**20)
    with pytest.raises(StagingError, match="413"):
        send(str(tmp_path / "large"), f"{server.url}/up/large", trusted)


def test_redirections_in_a_circle_are_refused(server, trusted, tmp_path):
    with pytest.raises(StagingError, match=r"redirects in a circle, from .*/loop/a at last to .*/loop/a"):
        fetch(f"{server.url}/loop/a", str(tmp_path / "x"), trusted)


def test_secret_header_is_read_from_a_variable_and_sent_to_its_server_alone(web, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_TOKEN", "t0ken")
    source = SecretSource("Bearer ", env="TEST_TOKEN")
    with file_servers.nginx(tmp_path / "nginx", other=web.url) as server:
        options = ServerOptions(POLICY, (server.root / "ca.pem").read_text(), headers=(("Authorization", source),))
        (server.files / "secret/x").write_bytes(b"hidden")
        fetch(f"{server.url}/secret/x", str(tmp_path / "x"), options)
        web.add("/steal", b"")
        fetch(f"{server.url}/away", str(tmp_path / "y"), options)
    assert (tmp_path / "x").read_bytes() == b"hidden"
    assert "Authorization" not in web.headers[0]
    assert "t0ken" not in repr(options)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SecretSource(env="NO_SUCH"), "header Authorization: the machine .* has no variable 'NO_SUCH'"),
        (SecretSource(file="/no/such"), "header Authorization: '/no/such', on the machine .*: No such file"),
        (SecretSource(text="a\r\nX: 1"), "a line break or a control character"),
        (SecretSource(text="世"), "letters that HTTP cannot send"),
    ],
)
def test_secret_that_cannot_be_read_or_sent_is_named_and_not_quoted(server, trusted, tmp_path, source, words):
    with pytest.raises(StagingError, match=words) as caught:
        fetch(f"{server.url}/x", str(tmp_path / "x"), trusted._replace(headers=(("Authorization", source),)))
    assert "世" not in str(caught.value)


def test_proxy_is_asked_for_files_with_and_without_tls(server, trusted, proxy, tmp_path, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    address, asked = proxy
    (server.files / "p").write_bytes(b"data")
    options = trusted._replace(proxy=SecretSource(text=f"http://{address}"))
    for number, url in enumerate((server.url, server.plain)):
        fetch(f"{url}/p", str(tmp_path / str(number)), options)
        assert (tmp_path / str(number)).read_bytes() == b"data"
    assert [method for method, _ in asked] == ["CONNECT", "GET"]


def test_proxy_of_the_environment_is_used_unless_the_setting_says_none(server, trusted, proxy, tmp_path, monkeypatch):
    address, asked = proxy
    asked.clear()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://{address}")
    (server.files / "p").write_bytes(b"data")
    fetch(f"{server.url}/p", str(tmp_path / "1"), trusted)
    fetch(f"{server.url}/p", str(tmp_path / "2"), trusted._replace(proxy=SecretSource()))
    assert len(asked) == 1


def test_proxy_that_wants_a_password_gets_it_and_its_refusal_is_final(server, trusted, tmp_path):
    (server.files / "p").write_bytes(b"data")
    with file_servers.proxy("Basic YW5uOnBAc3M=") as (address, asked):
        secret = trusted._replace(proxy=SecretSource(text=f"http://ann:p%40ss@{address}"))
        fetch(f"{server.url}/p", str(tmp_path / "x"), secret)
        with pytest.raises(StagingError, match=r"the proxy refuses it: .*407") as caught:
            fetch(
                f"{server.url}/p", str(tmp_path / "y"), trusted._replace(proxy=SecretSource(text=f"http://{address}"))
            )
    assert len(asked) == 2
    assert "p%40ss" not in str(caught.value)


def test_wrong_size_is_refused_before_the_file_is_read(server, trusted, tmp_path):
    (server.files / "x").write_bytes(b"data")
    with pytest.raises(StagingError, match=r"the server has 4 bytes of it, not 5"):
        fetch(f"{server.url}/x", str(tmp_path / "x"), trusted, Content(size=5))


def test_wrong_digest_is_fetched_once_more_and_then_refused(server, trusted, tmp_path):
    (server.files / "digest").write_bytes(b"data")
    right = hashlib.sha256(b"data").hexdigest()
    fetch(f"{server.url}/digest", str(tmp_path / "x"), trusted, Content(right, 4))
    with pytest.raises(StagingError, match=r"it came twice, and its SHA-256 is 3a6eb0790f39..., not 000000000000..."):
        fetch(
            f"{server.url}/digest",
            str(tmp_path / "y"),
            trusted._replace(policy=POLICY._replace(tries=9)),
            Content("0" * 64),
        )
    assert not (tmp_path / "y").exists()


# FTP


@pytest.fixture(scope="module", params=["ftpes", "ftps"])
def ftp(request, server, tmp_path_factory):
    with file_servers.ftp_server(tmp_path_factory.mktemp("ftp"), server.root, request.param) as started:
        yield started


@pytest.mark.parametrize("name", [name for name in NAMES if "\n" not in name])
def test_file_of_any_name_is_sent_and_read_by_ftp_with_tls(ftp, trusted, tmp_path, file, name):
    url = f"{ftp.with_password}/{quote(name)}"
    send(str(file), url, trusted)
    assert (ftp.folder / name).read_bytes() == file.read_bytes()
    fetch(url, str(tmp_path / "back"), trusted)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert [path.name for path in ftp.folder.iterdir() if path.name.startswith(".")] == []


def test_ftp_server_whose_certificate_is_not_trusted_is_refused(ftp, tmp_path):
    with pytest.raises(StagingError, match=r"certificate is not trusted: .*ca_file="):
        fetch(f"{ftp.with_password}/x", str(tmp_path / "x"), ServerOptions(POLICY))


def test_missing_folders_are_made_on_an_ftp_server_and_a_file_is_replaced(ftp, trusted, file):
    for content in (b"old", b"new"):
        file.write_bytes(content)
        send(str(file), f"{ftp.with_password}/deep/er/x", trusted)
    assert (ftp.folder / "deep/er/x").read_bytes() == b"new"


def test_ftp_password_is_read_from_a_secret(ftp, trusted, tmp_path):
    (ftp.folder / "x").write_bytes(b"data")
    fetch(f"{ftp.anonymous}/x", str(tmp_path / "x"), trusted._replace(user="ann", password=SecretSource(text="p@ss")))
    with pytest.raises(StagingError, match="530") as caught:
        fetch(
            f"{ftp.anonymous}/x", str(tmp_path / "y"), trusted._replace(user="ann", password=SecretSource(text="wrong"))
        )
    assert "wrong" not in str(caught.value)


def test_ftp_file_of_another_size_is_refused(ftp, trusted, tmp_path):
    (ftp.folder / "x").write_bytes(b"data")
    with pytest.raises(StagingError, match="the server has 4 bytes of it, not 9"):
        fetch(f"{ftp.with_password}/x", str(tmp_path / "y"), trusted, Content(size=9))


class Breaking:
    """A file at which the connection breaks twice, each time after another MiB."""

    def __init__(self, file):
        self._file = file
        self.left = [2 * 2**20, 2**20]

    def __getattr__(self, name):
        return getattr(self._file, name)

    def _count(self):
        if self.left and self._file.tell() >= self.left[-1]:
            self.left.pop()
            raise ConnectionResetError("broken by the test")

    def write(self, data):
        self._file.write(data)
        self._count()

    def read(self, size):
        self._count()
        return self._file.read(size)


CONTENT = bytes(range(256)) * 2**15


def test_broken_ftp_download_goes_on_where_it_broke(ftp, trusted, tmp_path):
    (ftp.folder / "large").write_bytes(CONTENT)
    ftp.commands.clear()
    download = FtpDownload(urlsplit(f"{ftp.anonymous}/large"), trusted, Content())
    with (tmp_path / "x").open("w+b") as plain:
        file = Breaking(plain)
        repeat(lambda: download.get(file, 10.0), POLICY._replace(tries=4), "it")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert len([line for line in ftp.commands if line.startswith("REST ")]) == 2


def test_broken_ftp_upload_goes_on_where_it_broke(ftp, trusted, tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    ftp.commands.clear()
    upload = FtpUpload(urlsplit(f"{ftp.with_password}/uploaded"), trusted)
    with (tmp_path / "x").open("rb") as plain:
        file = Breaking(plain)
        repeat(lambda: upload.put(file, 10.0), POLICY._replace(tries=4), "it")
    assert (ftp.folder / "uploaded").read_bytes() == CONTENT
    assert len([line for line in ftp.commands if line.startswith("REST ")]) == 2


# Runs


@python_app
def read(file):
    from pathlib import Path

    return Path(file).read_text()


@bash_app
def write(word, outputs=(), stdout=None):
    return f"echo {word} > {outputs[0]}; echo said {word}"


def test_file_is_brought_once_to_a_node_and_again_when_it_changed(server, tmp_path):
    path, url = server.files / "shared.txt", File(f"{server.url}/shared.txt")
    access = [HTTPInTaskStaging(ca_file=server.ca_file, tries=1)]
    with cnflow.load(
        Config(executors=[HighThroughputExecutor(max_workers=2, storage_access=access)], run_dir=str(tmp_path / "runs"))
    ) as run:
        for content in ("old", "new"):
            path.write_text(content)
            os.utime(path, (1e9, 1e9 + len(server.log())))
            assert {task.result(60) for task in [read(url) for _ in range(8)]} == {content}
        digest = hashlib.sha256(b"new").hexdigest()
        for _ in range(2):
            assert read(File(url, sha256=digest)).result(60) == "new"
        assert not (run.run_dir / "staged").exists()
    requests = [line.split('"')[1].split()[0] for line in server.log().splitlines() if "/shared.txt" in line]
    assert requests.count("GET") == 3, "of two versions, and by the digest"
    assert requests.count("HEAD") == 16


@bash_app
def write_nothing(outputs=()):
    return "true"


@pytest.mark.parametrize(
    ("kind", "way", "ftp"),
    [
        (ThreadPoolExecutor, "separate", "ftpes"),
        (HighThroughputExecutor, "separate", "ftps"),
        (HighThroughputExecutor, "in_task", "ftpes"),
    ],
    indirect=["ftp"],
)
def test_outputs_and_streams_of_a_task_go_to_servers_and_come_back(server, ftp, tmp_path, monkeypatch, kind, way):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_TOKEN", "t0ken")
    http, ftps = (
        (HTTPSeparateTaskStaging, FTPSeparateTaskStaging)
        if way == "separate"
        else (HTTPInTaskStaging, FTPInTaskStaging)
    )
    access = [
        NoOpFileStaging(),
        http(ca_file=server.ca_file, tries=1, headers={"Authorization": "Bearer env:TEST_TOKEN"}),
        ftps(ca_file=server.ca_file, tries=1, user="ann", password=Secret(value="p@ss")),
    ]
    with cnflow.load(Config(executors=[kind(storage_access=access)], run_dir=str(tmp_path / "runs"))) as run:
        url = f"{server.url}/secret/{kind.__name__}-{way}"
        made = write("hello", outputs=[File(url)], stdout=File(f"{ftp.anonymous}/log-{way}"))
        assert read(made.outputs[0]).result(60) == "hello\n"
        assert read(made.stdout).result(60) == "said hello\n"
        wrong = write("x", outputs=[File(f"{server.url}/x")])
        error = wrong.outputs[0].exception(60)
        assert isinstance(getattr(error, "root_cause", error), StagingError)
        assert "405" in str(getattr(error, "root_cause", error))
        missing = write_nothing(outputs=[File(f"{server.url}/up/none")])
        assert isinstance(
            missing.exception(60), MissingOutputs if way == "in_task" else (MissingOutputs, DependencyError)
        )
        assert way == "separate" or list((run.run_dir / "staged").rglob("*")) == []
