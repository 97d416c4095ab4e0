import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.errors import StagingError
from cnflow.tasks import trees

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) < 60
)


def _packed(folder):
    file = io.BytesIO()
    trees.pack_folder(str(folder), file)
    return file.getvalue()


def _shape(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (state.st_mode, state.st_nlink, round(state.st_mtime, 3), content)
    return found


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "a b" / "ü\n-x").mkdir(parents=True)
    (folder / "a b" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "a b" / "run.sh").chmod(0o750)
    (folder / "a b" / "link").symlink_to("run.sh")
    (folder / "up").symlink_to("a b/../a b/run.sh")
    (folder / "dangling").symlink_to("nothing")
    os.link(folder / "a b" / "run.sh", folder / "hard")
    (folder / "empty").write_bytes(b"")
    os.utime(folder / "empty", (1e9, 1e9 + 0.125))
    (folder / "closed").mkdir()
    (folder / "closed" / "x").write_text("x")
    (folder / "closed").chmod(0o500)
    os.utime(folder / "closed", (1e9, 1e9))
    return folder


def test_links_modes_and_times_are_kept(tree, tmp_path):
    trees.unpack(io.BytesIO(_packed(tree)), str(tmp_path / "copy"))
    assert _shape(tmp_path / "copy") == _shape(tree)


def test_stream_of_one_tree_is_the_same_wherever_it_lies(tree, tmp_path):
    trees.unpack(io.BytesIO(_packed(tree)), str(tmp_path / "copy"))
    assert _packed(tmp_path / "copy") == _packed(tree)


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=8))
def test_any_name_comes_back(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("names")
    (folder / "from").mkdir()
    for name, content in files.items():
        (folder / "from" / name).write_bytes(content)
    trees.unpack(io.BytesIO(_packed(folder / "from")), str(folder / "to"))
    assert {path.name: path.read_bytes() for path in (folder / "to").iterdir()} == files


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside"])
def test_link_that_leads_out_is_not_packed(tmp_path, target):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StagingError, match="out of its folder"):
        _packed(tmp_path)


def test_link_that_leads_out_by_another_is_not_packed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("../..")
    (tmp_path / "link").symlink_to("a/b/up/..")
    with pytest.raises(StagingError, match=r"link' leads to 'a/b/up/\.\.', out of its folder"):
        _packed(tmp_path)


def test_names_as_long_as_the_file_system_allows(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / ("é" * 127)).write_text("long")
    trees.unpack(io.BytesIO(_packed(tmp_path / "from")), str(tmp_path / "to"))
    assert (tmp_path / "to" / ("é" * 127)).read_text() == "long"


def test_pipe_is_not_packed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StagingError, match=r"pipe is no file, folder or link"):
        _packed(tmp_path)


def _stream(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", tarfile.REGTYPE, "")],
        [("/tmp/evil", tarfile.REGTYPE, "")],
        [("a/../../evil", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, "/etc")],
        [("a", tarfile.SYMTYPE, "..")],
        [("b", tarfile.DIRTYPE, ""), ("a", tarfile.SYMTYPE, "b"), ("a/x", tarfile.REGTYPE, "")],
        [("a", tarfile.LNKTYPE, "../x")],
        [("a/b/up", tarfile.SYMTYPE, "../.."), ("out", tarfile.SYMTYPE, "a/b/up/..")],
        [("a", tarfile.SYMTYPE, "b"), ("c", tarfile.LNKTYPE, "a/x")],
        [("a", tarfile.CHRTYPE, "")],
    ],
)
def test_stream_that_would_write_outside_is_refused(tmp_path, members):
    with pytest.raises(StagingError):
        trees.unpack(_stream(*members), str(tmp_path / "to"))


def test_link_that_lies_in_the_folder_before_is_not_written_through(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StagingError, match="is a link"):
        trees.unpack(_stream(("sub/x", tarfile.REGTYPE, "")), str(tmp_path / "to"))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_stream_that_ends_too_early_is_an_error(tree, tmp_path):
    with pytest.raises(StagingError, match="could not be unpacked"):
        trees.unpack(io.BytesIO(_packed(tree)[:700]), str(tmp_path / "to"))


def test_matches_of_a_pattern_are_packed_by_their_names_below_its_base(tmp_path):
    for name in ("out/1/a.csv", "out/2/b.csv", "out/2/c.txt", "out/[x]/d.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    file = io.BytesIO()
    assert trees.pack_matches(f"{tmp_path}/out/*/*.csv", file) == 3
    trees.unpack(io.BytesIO(file.getvalue()), str(tmp_path / "to"))
    assert trees.matches(f"{tmp_path}/to/**/*.csv") == ["1/a.csv", "2/b.csv", "[x]/d.csv"]


@pytest.mark.parametrize(
    ("pattern", "split"),
    [("*.csv", ("", "*.csv")), ("/d/e/*/x", ("/d/e", "*/x")), ("/*", ("/", "*")), ("a/b", ("a", "b"))],
)
def test_pattern_is_split_before_its_first_special_character(pattern, split):
    assert trees.split_pattern(pattern) == split
