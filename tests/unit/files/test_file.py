import os
import pickle
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import ConfigurationError
from cnflow.model.file import File, missing_outputs, outputs_of

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
def test_a_url_is_taken_apart(url, scheme, netloc, path, filename):
    file = File(url)
    assert (file.url, file.scheme, file.netloc, file.path, file.filename) == (url, scheme, netloc, path, filename)


@pytest.mark.parametrize("path", ["run:1.txt", "a:b/c", "a?b#c", "100%", "a%20b", " a\n", "1:/x", "?", "~/x"])
def test_what_is_no_url_is_a_path_letter_by_letter(path):
    assert (File(path).scheme, File(path).path) == ("file", path)


def test_the_path_of_a_file_url_is_decoded_as_pathlib_encodes_it():
    path = Path("/tmp/a b%20c?d#e/é")
    assert File(path.as_uri()).filepath == str(path)


def test_a_file_url_written_by_hand_keeps_its_question_and_hash_marks():
    assert File("file:///tmp/a?b#1.txt").filepath == "/tmp/a?b#1.txt"


def test_bytes_that_are_no_unicode_come_as_the_file_system_gives_them():
    assert os.fsencode(File("file:///tmp/%FF")) == b"/tmp/\xff"


@given(PATHS)
def test_a_pathlike_is_a_path_whatever_it_looks_like_and_its_url_means_the_same(text):
    path = PurePosixPath(text)
    file = File(path)
    assert (file.scheme, os.fspath(file)) == ("file", str(path))
    assert File(file.url) == file


@given(PATHS)
def test_any_text_makes_a_file_that_its_url_and_its_pickle_make_again(text):
    try:
        file = File(text)
    except ConfigurationError:
        return
    for again in (File(file.url), File(file), file.cleancopy(), pickle.loads(pickle.dumps(file))):
        assert again == file
        assert hash(again) == hash(file)
        assert (again.url, again.path, again.local_path) == (file.url, file.path, None)


def test_a_file_without_a_scheme_is_used_like_its_path(tmp_path):
    file = File(tmp_path / "a.txt")
    Path(file).write_text("x")
    assert os.fspath(file) == str(file) == file.filepath == str(tmp_path / "a.txt")
    assert f"cat {file} {file!s:>3}" == f"cat {tmp_path}/a.txt {tmp_path}/a.txt"
    assert f"{File('a'):>3}|" == "  a|"
    assert subprocess.run(["cat", file], capture_output=True, check=True).stdout == b"x"


def test_a_file_elsewhere_has_a_path_once_it_is_staged():
    file = File("https://h/d/a.txt")
    assert not file.is_here
    with pytest.raises(ConfigurationError, match=r"https://h/d/a.txt has no path here, since it was not staged."):
        os.fspath(file)
    assert str(file) == "https://h/d/a.txt"
    file.local_path = "/staged/a.txt"
    assert (file.filepath, str(file), os.fspath(file)) == ("/staged/a.txt",) * 3
    assert file.is_here
    assert file.filename == "a.txt"


def test_where_its_copy_lies_travels_with_it_and_a_clean_copy_has_none():
    file = File("https://h/d/a.txt")
    file.local_path = "/staged/a.txt"
    assert pickle.loads(pickle.dumps(file)).local_path == "/staged/a.txt"
    assert File(file).local_path == "/staged/a.txt"
    assert file.cleancopy().local_path is None
    assert file.local_path == "/staged/a.txt"


def test_files_are_equal_when_they_mean_the_same_file():
    staged = File("https://h/a")
    staged.local_path = "/staged/a"
    assert File("https://h/a") == staged
    assert {File("/a"), File("file:///a"), File("file://localhost/a"), File("file:/a"), File(Path("/a"))} == {
        File("/a")
    }
    assert len({File("/a"), File("a"), File("file://n17/a"), File("https://h/a"), File("https://h/a?v=2")}) == 5
    assert File("/a") != "/a"


def test_a_file_is_shown_as_it_was_written():
    file = File("https://h/a")
    assert repr(file) == "File('https://h/a')"
    file.local_path = "/staged/a"
    assert repr(file) == "<File 'https://h/a' staged at '/staged/a'>"


def test_the_parts_of_a_file_cannot_be_changed():
    with pytest.raises(AttributeError):
        File("a").url = "b"


@pytest.mark.parametrize("nothing", ["", "file:", "file://", "file://host", "a\0b", "file:///%00"])
def test_a_url_that_names_no_file_is_refused(nothing):
    with pytest.raises(ConfigurationError, match="names no file"):
        File(nothing)


@pytest.mark.parametrize("other", [None, 7, b"a", ["a"]])
def test_a_file_is_made_of_text_or_a_path_only(other):
    with pytest.raises(ConfigurationError, match=rf"of a str or a PathLike, not of a {type(other).__name__}"):
        File(other)


def test_outputs_may_be_written_in_three_ways_and_the_list_is_not_changed(tmp_path):
    file = File("b.txt")
    given_list = ["a.txt", file, tmp_path / "c.txt"]
    files = outputs_of(given_list)
    assert [str(f) for f in files] == ["a.txt", "b.txt", str(tmp_path / "c.txt")]
    assert given_list == ["a.txt", file, tmp_path / "c.txt"]
    assert files[1] is not file
    assert outputs_of(None) == outputs_of(()) == []


def test_a_bad_output_is_named_by_its_place_and_type():
    with pytest.raises(ConfigurationError, match=r"^outputs\[1\] is 3, of type int, not a File, str or PathLike.$"):
        outputs_of(["a", 3])


@pytest.mark.parametrize("one", ["a.txt", Path("a.txt"), File("a.txt")])
def test_one_file_in_place_of_a_list_is_refused(one):
    with pytest.raises(ConfigurationError, match=r"^inputs=.* is one file. Write a list: inputs=\[.*\].$"):
        outputs_of(one, "inputs")


def test_missing_outputs_are_those_with_a_path_and_nothing_at_it(tmp_path):
    (tmp_path / "made").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    staged = File("http://h/x")
    staged.local_path = str(tmp_path / "x")
    here = [File(tmp_path / name) for name in ("made", "folder", "dangling", "absent")]
    assert missing_outputs([*here, File("http://h/x"), staged]) == [here[2], here[3], staged]


def test_missing_outputs_asks_whom_it_is_told_to_ask():
    assert missing_outputs([File("a"), File("b")], exists=lambda path: path == "a") == [File("b")]
