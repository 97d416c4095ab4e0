"""Downloads from HTTP and FTP servers: errors, retries, and files left behind."""

import threading

import pytest

from cnflow.errors import StagingError
from cnflow.tasks.staging.download import RetryPolicy, fetch

QUICK = RetryPolicy(timeout=10.0, tries=3, pause=0.0)


def leftovers(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_makes_the_folder_of_its_file(web, tmp_path):
    target = tmp_path / "copies" / "deep" / "x.bin"
    content = bytes(range(256)) * 10_000
    fetch(web.add("/x.bin", content), str(target), QUICK)
    assert target.read_bytes() == content
    assert leftovers(tmp_path) == ["x.bin"]


def test_status_404_leaves_no_file(web, tmp_path):
    target = tmp_path / "copies" / "x.csv"
    with pytest.raises(StagingError, match=rf"^{web.url}/x.csv could not be fetched: the server answers 404 "):
        fetch(f"{web.url}/x.csv", str(target), QUICK)
    assert leftovers(tmp_path) == []
    assert web.asked == ["/x.csv"], "what is not there is asked for once"


def test_failed_download_leaves_the_older_copy(web, tmp_path):
    target = tmp_path / "x.csv"
    target.write_text("old")
    with pytest.raises(StagingError):
        fetch(f"{web.url}/x.csv", str(target), QUICK)
    assert target.read_text() == "old"


@pytest.mark.parametrize("trouble", [500, 503, "short"])
def test_server_error_is_retried(web, tmp_path, trouble):
    url = web.add("/x", b"0123456789")
    web.troubles["/x"] = [trouble, trouble]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == b"0123456789"
    assert web.asked == ["/x"] * 3


@pytest.mark.parametrize(
    ("trouble", "said"), [(503, "the server answers 503"), ("short", "the connection ended after 5 of 10 bytes")]
)
def test_lasting_server_error_is_raised_with_the_number_of_attempts(web, tmp_path, trouble, said):
    url = web.add("/x", b"0123456789")
    web.troubles["/x"] = [trouble] * 9
    with pytest.raises(StagingError, match=rf"could not be fetched in 3 tries: {said}"):
        fetch(url, str(tmp_path / "x"), QUICK)
    assert leftovers(tmp_path) == []


def test_refused_connection_is_raised(unused_port, tmp_path):
    with pytest.raises(StagingError, match=r"in 3 tries: .*[Cc]onnection refused"):
        fetch(f"http://127.0.0.1:{unused_port}/x", str(tmp_path / "x"), QUICK)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_password_is_sent_and_never_printed(web, tmp_path):
    url = web.add("/x", b"secret").replace("http://", "http://ann:p%40ss@")
    web.passwords["/x"] = "ann:p@ss"
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == b"secret"
    web.passwords["/x"] = "ann:other"
    with pytest.raises(StagingError, match="401") as caught:
        fetch(url, str(tmp_path / "x"), QUICK)
    assert "p%40ss" not in str(caught.value)


def test_url_is_encoded_as_servers_expect(web, tmp_path):
    web.add("/a%20b/%C3%BC.txt?day=1", b"found")
    fetch(f"{web.url}/a b/ü.txt?day=1", str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == b"found"


def test_folder_that_cannot_be_made_is_not_retried(web, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StagingError, match=r"could not be written to .*/file/x: "):
        fetch(web.add("/x", b""), str(tmp_path / "file" / "x"), QUICK)
    assert web.asked == []


def test_concurrent_downloads_to_one_path_never_leave_half_a_file(web, tmp_path):
    url = web.add("/x", b"0123456789" * 1000)
    threads = [threading.Thread(target=fetch, args=(url, str(tmp_path / "x"), QUICK)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_bytes() == b"0123456789" * 1000
    assert leftovers(tmp_path) == ["x"]


def test_ftp_is_read_anonymously_and_with_a_password(ftp, tmp_path):
    (ftp.folder / "public" / "a b.txt").write_bytes(b"public\r\n")
    (ftp.folder / "private" / "x").write_bytes(b"private")
    fetch(f"{ftp.anonymous}/a%20b.txt", str(tmp_path / "1"), QUICK)
    fetch(f"{ftp.with_password}/x", str(tmp_path / "2"), QUICK)
    assert (tmp_path / "1").read_bytes() == b"public\r\n"
    assert (tmp_path / "2").read_bytes() == b"private"


def test_error_of_a_missing_ftp_file_has_no_password(ftp, tmp_path):
    with pytest.raises(StagingError, match=rf"^ftp://127.0.0.1:{ftp.port}/no could not be fetched: .* 550 "):
        fetch(f"{ftp.with_password}/no", str(tmp_path / "copies" / "x"), QUICK)
    assert leftovers(tmp_path / "copies") == []


def test_line_break_in_an_ftp_url_sends_no_second_command(ftp, tmp_path):
    (ftp.folder / "private" / "x").write_bytes(b"")
    with pytest.raises(StagingError, match="line break"):
        fetch(f"{ftp.with_password}/x%0D%0ADELE x", str(tmp_path / "x"), QUICK)
    assert (ftp.folder / "private" / "x").exists()
