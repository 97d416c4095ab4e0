"""Downloads from HTTP and FTP servers: errors, retries, and files left behind."""

import gzip
import threading
import zlib

import pytest

from cnflow.errors import StagingError
from cnflow.tasks.staging import attempts
from cnflow.tasks.staging.attempts import RetryPolicy
from cnflow.tasks.staging.download import fetch
from cnflow.tasks.staging.options import ServerOptions

QUICK = ServerOptions(RetryPolicy(timeout=10.0, tries=3, pause=0.0))


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
    with pytest.raises(StagingError, match=rf"^ftp://\*\*\*@127.0.0.1:{ftp.port}/no could not be fetched: .* 550 "):
        fetch(f"{ftp.with_password}/no", str(tmp_path / "copies" / "x"), QUICK)
    assert leftovers(tmp_path / "copies") == []


def test_line_break_in_an_ftp_url_sends_no_second_command(ftp, tmp_path):
    (ftp.folder / "private" / "x").write_bytes(b"")
    with pytest.raises(StagingError, match="line break"):
        fetch(f"{ftp.with_password}/x%0D%0ADELE x", str(tmp_path / "x"), QUICK)
    assert (ftp.folder / "private" / "x").exists()


def reply(status=200, body=b"", **headers):
    """A reply with *headers*, whose names are written with underscores; with a length unless one is given."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields.setdefault("Content-Length", str(len(body)))

    def write(handler):
        handler.send_response(status)
        for name, value in fields.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return write


def no_reply(handler):
    """Close the connection without a byte."""


DATA = b"".join(b"%d,%d\n" % (number, number**2) for number in range(50_000))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(DATA)),
        ("X-GZIP", gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:])),
        ("deflate", zlib.compress(DATA)),
        ("deflate", zlib.compress(DATA)[2:-4]),
        ("identity", DATA),
        ("deflate, gzip", gzip.compress(zlib.compress(DATA))),
    ],
    ids=["gzip", "two members", "zlib", "deflate", "identity", "both"],
)
def test_encoded_content_is_decoded(web, tmp_path, encoding, body):
    url = web.add("/table.csv", b"")
    web.troubles["/table.csv"] = [reply(body=body, Content_Encoding=encoding)]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA
    assert web.headers[0]["Accept-Encoding"] == "identity"


def test_compressed_file_stays_compressed(web, tmp_path):
    body = gzip.compress(DATA)
    fetch(web.add("/table.csv.gz", body), str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == body


def test_encoding_that_is_unknown_is_named(web, tmp_path):
    url = web.add("/x", b"")
    web.troubles["/x"] = [reply(body=b"x", Content_Encoding="br")]
    with pytest.raises(StagingError, match=r"Content-Encoding 'br', which cnflow cannot decode"):
        fetch(url, str(tmp_path / "x"), QUICK)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [gzip.compress(DATA)[:-9], b"not compressed at all", gzip.compress(DATA)[:1]],
    ids=["cut", "plain", "a byte"],
)
def test_content_that_cannot_be_decoded_is_asked_for_again(web, tmp_path, body):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [reply(body=body, Content_Encoding="gzip")] * 2
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA
    web.troubles["/x"] = [reply(body=body, Content_Encoding="gzip")] * 3
    with pytest.raises(StagingError, match=r"in 3 tries: .*gzip"):
        fetch(url, str(tmp_path / "y"), QUICK)
    assert leftovers(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "trouble", [408, 425, 429, 502, reply(202), no_reply], ids=["408", "425", "429", "502", "202", "no reply"]
)
def test_answer_that_may_pass_is_asked_for_again(web, tmp_path, trouble):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [trouble, trouble]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("status", [204, 403, 410])
def test_answer_without_a_file_is_final(web, tmp_path, status):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [reply(status)]
    with pytest.raises(StagingError, match=rf"the server answers {status} "):
        fetch(url, str(tmp_path / "x"), QUICK)
    assert leftovers(tmp_path) == []


DATE = "Wed, 25 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "paused"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "86400"}, 60),
        ({"Retry_After": "Wed, 25 Nov 2026 10:00:09 GMT", "Date": DATE}, 9),
        ({"Retry_After": "Wed, 25 Nov 2026 09:00:00 GMT", "Date": DATE}, 0),
        ({"Retry_After": "soon"}, 1),
        ({}, 1),
    ],
)
def test_pause_is_the_one_that_the_server_asks_for(web, tmp_path, monkeypatch, headers, paused):
    pauses = []
    monkeypatch.setattr(attempts, "_sleep", pauses.append)
    url = web.add("/x", DATA)

    def write(handler):
        handler.date_time_string = lambda *_: headers.get("Date", DATE)
        reply(503, **{name: value for name, value in headers.items() if name != "Date"})(handler)

    web.troubles["/x"] = [write]
    policy = RetryPolicy(timeout=10.0, tries=2, pause=1.0, longest_pause=60.0)
    fetch(url, str(tmp_path / "x"), ServerOptions(policy))
    assert pauses == [paused]


def part_of(content, tag='"1"', *, most=None, **headers):
    """A reply that honours Range and If-Range, and breaks off after *most* bytes."""

    def write(handler):
        span, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        begin = int(span.removeprefix("bytes=").removesuffix("-")) if span and condition == tag else 0
        rest = content[begin:]
        more = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        length = str(len(rest))
        reply(206 if begin else 200, rest[:most], **{"ETag": tag, "Content-Length": length, **more, **headers})(handler)

    return write


def test_broken_download_goes_on_where_it_broke(web, tmp_path):
    url = web.add("/x", b"")
    web.troubles["/x"] = [part_of(DATA, most=1000), part_of(DATA, most=10), part_of(DATA)]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA
    assert [headers.get("Range") for headers in web.headers] == [None, "bytes=1000-", "bytes=1010-"]


@pytest.mark.parametrize(
    "second",
    [
        part_of(DATA, '"2"'),
        reply(206, b"xx", ETag='"1"', Content_Range="bytes 5-6/7"),
        reply(416, Content_Range="bytes */3"),
        reply(200, DATA),
    ],
    ids=["changed", "another part", "too short now", "no ranges"],
)
def test_file_that_changes_between_tries_is_never_mixed(web, tmp_path, second):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [part_of(b"old" * 9999, most=1000), second]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize(
    "headers", [{"ETag": 'W/"1"'}, {"ETag": None}, {"Accept-Ranges": "none"}, {"ETag": None, "Last-Modified": "x"}]
)
def test_broken_download_begins_anew_without_a_strong_validator(web, tmp_path, headers):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [part_of(DATA, most=1000, **headers)]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA
    assert "Range" not in web.headers[1]


def test_broken_chunked_answer_is_asked_for_again(web, tmp_path):
    url = web.add("/x", DATA)
    web.troubles["/x"] = [reply(body=b"5\r\nhello\r\n", Content_Length=None, Transfer_Encoding="chunked")]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA


def test_empty_answer_without_a_length_is_taken_only_if_it_stays_so(web, tmp_path):
    url = web.add("/x", DATA)
    empty = reply(body=b"", Content_Length=None)
    web.troubles["/x"] = [empty, empty]
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == DATA
    web.troubles["/x"] = [empty] * 3
    fetch(url, str(tmp_path / "x"), QUICK)
    assert (tmp_path / "x").read_bytes() == b""
    web.troubles["/x"] = [reply(body=b"")]
    fetch(url, str(tmp_path / "y"), QUICK)
    assert (tmp_path / "y").read_bytes() == b""
