import os
import pickle
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import ConfigurationError
from cnflow.model.file import File, clean_files

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
PATHS = st.one_of(NAMES, NAMES.map("/{}".format), NAMES.map("file:{}".format), NAMES.map("http://{}".format))


@pytest.mark.parametrize(
    ("url", "scheme", "netloc", "path", "filename"),
    [
        ("data/a.txt", "file", "", "data/a.txt", "a.txt"),
        ("/data/a.txt", "file", "", "/data/a.txt", "a.txt"),
        ("/data/folder/", "file", "", "/data/folder/", ""),
        ("file:///data/a.txt", "file", "", "/data/a.txt", "a.txt"),
        ("file:/data/a.txt", "file", "", "/data/a.txt", "a.txt"),
        ("file:data/a.txt", "file", "", "data/a.txt", "a.txt"),
        ("FILE:///data/a.txt", "file", "", "/data/a.txt", "a.txt"),
        ("file://n17/data/a.txt", "file", "n17", "/data/a.txt", "a.txt"),
        ("https://h:81/d/a%20b.txt;v=1?x=/y#z", "https", "h:81", "/d/a%20b.txt;v=1", "a%20b.txt;v=1"),
        ("http://h", "http", "h", "", ""),
        ("s3://bucket/key", "s3", "bucket", "/key", "key"),
        ("globus://037f054a/unsorted.txt", "globus", "037f054a", "/unsorted.txt", "unsorted.txt"),
        ("zip:/d/a.zip/b", "zip", "", "/d/a.zip/b", "b"),
    ],
)
def test_url_is_split_into_its_parts(url, scheme, netloc, path, filename):
    file = File(url)
    assert (file.url, file.scheme, file.netloc, file.path, file.filename) == (url, scheme, netloc, path, filename)


@pytest.mark.parametrize("path", ["run:1.txt", "a:b/c", "a?b#c", "100%", "a%20b", " a\n", "1:/x", "?", "~/x"])
def test_text_that_is_no_url_is_a_literal_path(path):
    assert (File(path).scheme, File(path).path) == ("file", path)


def test_path_of_a_file_url_is_decoded_as_pathlib_encodes_it():
    path = Path("/tmp/a b%20c?d#e/é")
    assert File(path.as_uri()).filepath == str(path)


def test_file_url_has_no_query_and_no_fragment():
    assert File("file:///tmp/a?b#1.txt").filepath == "/tmp/a?b#1.txt"


def test_bytes_that_are_no_unicode_are_decoded_as_the_file_system_does():
    assert os.fsencode(File("file:///tmp/%FF")) == b"/tmp/\xff"


@given(PATHS)
def test_pathlike_is_a_path_even_if_it_looks_like_a_url(text):
    path = PurePosixPath(text)
    file = File(path)
    assert (file.scheme, os.fspath(file)) == ("file", str(path))
    assert File(file.url) == file


@given(PATHS)
def test_file_equals_the_one_of_its_url_and_of_its_pickle(text):
    try:
        file = File(text)
    except ConfigurationError:
        return
    for again in (File(file.url), File(file), file.cleancopy(), pickle.loads(pickle.dumps(file))):
        assert again == file
        assert hash(again) == hash(file)
        assert (again.url, again.path, again.local_path) == (file.url, file.path, None)


def test_file_without_a_scheme_is_usable_as_its_path(tmp_path):
    file = File(tmp_path / "a.txt")
    Path(file).write_text("x")
    assert os.fspath(file) == str(file) == file.filepath == str(tmp_path / "a.txt")
    assert f"cat {file} {file!s:>3}" == f"cat {tmp_path}/a.txt {tmp_path}/a.txt"
    assert f"{File('a'):>3}|" == "  a|"
    assert subprocess.run(["cat", file], capture_output=True, check=True).stdout == b"x"


def test_remote_file_has_a_path_once_it_is_staged():
    file = File("https://h/d/a.txt")
    assert not file.is_here
    with pytest.raises(ConfigurationError, match=r"https://h/d/a.txt has no path here, since it was not staged."):
        os.fspath(file)
    assert str(file) == "https://h/d/a.txt"
    file.local_path = "/staged/a.txt"
    assert (file.filepath, str(file), os.fspath(file)) == ("/staged/a.txt",) * 3
    assert file.is_here
    assert file.filename == "a.txt"


def test_local_path_is_pickled_and_cleancopy_drops_it():
    file = File("https://h/d/a.txt")
    file.local_path = "/staged/a.txt"
    assert pickle.loads(pickle.dumps(file)).local_path == "/staged/a.txt"
    assert File(file).local_path == "/staged/a.txt"
    assert file.cleancopy().local_path is None
    assert file.local_path == "/staged/a.txt"


def test_files_are_equal_if_their_urls_mean_the_same_file():
    staged = File("https://h/a")
    staged.local_path = "/staged/a"
    assert File("https://h/a") == staged
    assert {File("/a"), File("file:///a"), File("file://localhost/a"), File("file:/a"), File(Path("/a"))} == {
        File("/a")
    }
    assert len({File("/a"), File("a"), File("file://n17/a"), File("https://h/a"), File("https://h/a?v=2")}) == 5
    assert File("/a") != "/a"


def test_repr_shows_the_file_as_written():
    file = File("https://h/a")
    assert repr(file) == "File('https://h/a')"
    file.local_path = "/staged/a"
    assert repr(file) == "<File 'https://h/a' staged at '/staged/a'>"


def test_parts_of_a_file_are_read_only():
    with pytest.raises(AttributeError):
        File("a").url = "b"


@pytest.mark.parametrize("nothing", ["", "file:", "file://", "file://host", "a\0b", "file:///%00"])
def test_url_that_names_no_file_is_refused(nothing):
    with pytest.raises(ConfigurationError, match="names no file"):
        File(nothing)


@pytest.mark.parametrize("other", [None, 7, b"a", ["a"]])
def test_value_that_is_neither_text_nor_path_is_refused(other):
    with pytest.raises(ConfigurationError, match=rf"from a str or a PathLike, not from a {type(other).__name__}"):
        File(other)


def test_clean_files_accepts_three_types_and_does_not_change_the_list(tmp_path):
    file = File("b.txt")
    given_list = ["a.txt", file, tmp_path / "c.txt"]
    files = clean_files(given_list)
    assert [str(f) for f in files] == ["a.txt", "b.txt", str(tmp_path / "c.txt")]
    assert given_list == ["a.txt", file, tmp_path / "c.txt"]
    assert files[1] is not file
    assert clean_files(None) == clean_files(()) == []


def test_clean_files_names_position_and_type_of_a_wrong_element():
    with pytest.raises(ConfigurationError, match=r"^outputs\[1\] is 3, of type int, not a File, str or PathLike.$"):
        clean_files(["a", 3])


@pytest.mark.parametrize("one", ["a.txt", Path("a.txt"), File("a.txt")])
def test_clean_files_refuses_one_file_in_place_of_a_list(one):
    with pytest.raises(ConfigurationError, match=r"^inputs=.* is one file. Write a list: inputs=\[.*\].$"):
        clean_files(one, "inputs")
