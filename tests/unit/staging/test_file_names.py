import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import ConfigurationError, ZipAuthorityError
from cnflow.model.file import File
from cnflow.staging.file_names import name_of, safe_name
from cnflow.staging.zip import ZipPath, split


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/x.txt", "x.txt"),
        ("http://h/a/x.txt?day=1#top", "x.txt"),
        ("http://h/a%20b.txt", "a b.txt"),
        ("http://h/%C3%BC", "ü"),
        ("http://h/%2e%2e%2f%2e%2e%2fetc%2fpasswd", ".._.._etc_passwd"),
        ("http://h/..", "file"),
        ("http://h/%2e%2e", "file"),
        ("http://h/", "file"),
        ("http://h", "file"),
        ("http://h/a%00b%0ac", "a_b_c"),
    ],
)
def test_copy_has_the_name_that_the_url_ends_with_and_stays_in_its_folder(url, name):
    assert name_of(url) == name


def test_name_that_is_too_long_keeps_its_end():
    name = safe_name("ü" * 300 + ".fits")
    assert name.endswith("ü.fits")
    assert len(name.encode()) <= 200


@given(st.text())
def test_any_text_becomes_a_name(wanted):
    name = safe_name(wanted)
    assert name not in {"", ".", ".."}
    assert not set(name) & {"/", "\0"}
    assert len(name.encode()) <= 255


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("zip:/d/this.zip/inside/here.txt", ("/d/this.zip", "inside/here.txt")),
        ("zip:/d/one.zip/two.zip/x", ("/d/one.zip", "two.zip/x")),
        ("zip:/d/x.zip.d/real.zip/x", ("/d/x.zip.d/real.zip", "x")),
    ],
)
def test_archive_ends_with_the_first_zip_that_a_slash_follows(url, found):
    assert split(File(url)) == ZipPath(*found)


@pytest.mark.parametrize(
    "url", ["zip:/d/a.zip", "zip:/d/a.zip/", "zip:/d/a.zip/b/", "zip:/a.zip/../../etc/x", "zip:/a.zip//x", "zip:/x"]
)
def test_url_without_a_member_is_refused(url):
    with pytest.raises(ConfigurationError, match=r"write zip:/path/to\.zip/name"):
        split(File(url))


@pytest.mark.parametrize("url", ["zip:/a.zip/x#1", "zip:/a.zip/x?y"])
def test_url_with_a_query_or_a_fragment_is_refused(url):
    with pytest.raises(ConfigurationError, match="cannot be part of the name"):
        split(File(url))


def test_archive_with_a_host_is_refused():
    with pytest.raises(ZipAuthorityError, match="host 'host'"):
        split(File("zip://host/a.zip/x"))
