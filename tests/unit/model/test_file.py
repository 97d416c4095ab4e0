import os
import pickle
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import ConfigurationError
from cnflow.model.file import File, clean_files
from cnflow.model.item import Item, ItemForm, collect

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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sha256": "12"}, "64 hexadecimal digits"),
        ({"sha256": b"0" * 64}, "64 hexadecimal digits"),
        ({"size": -1}, "number of bytes"),
        ({"size": True}, "number of bytes"),
        ({"directory": True, "glob": True}, "leave one"),
        ({"directory": True, "size": 1}, "this is a folder"),
        ({"glob": True, "sha256": "0" * 64}, "this is a pattern"),
    ],
)
def test_options_that_can_be_none_of_a_file_are_refused(options, said):
    with pytest.raises(ConfigurationError, match=said):
        File("x", **options)


def test_options_come_with_copies_and_pickles_and_do_not_change_what_is_equal():
    file = File("x", sha256="AB" * 32, size=3)
    for copy in (File(file), file.cleancopy(), file.at("y"), pickle.loads(pickle.dumps(file))):
        assert (copy.sha256, copy.size, copy.directory, copy.glob) == ("ab" * 32, 3, False, False)
    assert file == File("x")
    assert hash(file) == hash(File("x"))


def test_item_comes_with_the_pickle_and_is_noted():
    file = File("x", directory=True)
    file.item, file.hold = Item(b"k" * 24, 5, ItemForm.TREE, b"m", "outputs/0"), object()
    with collect() as items:
        loaded = pickle.loads(pickle.dumps({"file": [file]}))["file"][0]
    assert (loaded.item, loaded.directory, loaded.hold) == (file.item, True, None)
    assert list(items.values()) == [file.item]
    assert file.cleancopy().item is None


def test_pickle_of_a_plain_file_is_that_of_earlier_checkpoints():
    assert File("x").__reduce__()[1] == (File, "x", None)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0"])
def test_temporary_file_has_a_name_without_a_folder(name):
    with pytest.raises(ConfigurationError, match="without a folder"):
        File.temp(name)


def test_temporary_files_of_one_name_are_different_files():
    one, other = File.temp("a.csv"), File.temp("a.csv")
    assert one != other
    assert (one.scheme, one.filename, one.is_here) == ("temp", "a.csv", False)


def test_paths_of_a_pattern_are_its_matches(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    assert File(tmp_path / "*.csv", glob=True).paths() == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert File(tmp_path / "*.csv").paths() == [str(tmp_path / "*.csv")]


def test_file_shows_itself_in_a_notebook(tmp_path):
    path = tmp_path / "<a>.txt"
    path.write_bytes(b"12345")
    shown = File(path)._repr_html_()
    assert "&lt;a&gt;.txt" in shown
    assert ">5 B<" in shown
    secret = File("https://user:word@host.example/x", size=2048)._repr_html_()
    assert "word" not in secret
    assert ">2 KiB<" in secret
    assert ">folder<" in File(tmp_path, directory=True)._repr_html_()
