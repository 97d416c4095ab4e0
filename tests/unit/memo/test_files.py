import os

import pytest

from cnflow.dataflow.memo import id_of_file
from cnflow.dataflow.memo.files import identify_files
from cnflow.dataflow.memo.values import encode
from cnflow.model.file import File
from cnflow.model.item import Item


def test_id_of_a_file_depends_on_path_size_and_time_of_change(tmp_path, monkeypatch):
    file, copy = tmp_path / "a", tmp_path / "b"
    for path in (file, copy):
        path.write_text("one")
        os.utime(path, ns=(10, 10))
    before = id_of_file(file)
    monkeypatch.chdir(tmp_path)
    assert before == id_of_file("a") == id_of_file("../" + tmp_path.name + "/a") != id_of_file(copy)
    os.utime(file, ns=(10, 11))
    assert id_of_file(file) != before
    file.write_text("more")
    os.utime(file, ns=(10, 10))
    assert id_of_file(file) != before


def test_id_by_content_is_equal_for_a_copy(tmp_path):
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("one")
    (tmp_path / "c").write_text("two")
    one, copy, other = (id_of_file(tmp_path / name, by_content=True) for name in "abc")
    assert one == copy != other


def test_id_of_a_folder_depends_on_all_files_in_it(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("one")
    ids = [(id_of_file(tmp_path), id_of_file(tmp_path, by_content=True))]
    (tmp_path / "in" / "a").write_text("three")
    ids.append((id_of_file(tmp_path), id_of_file(tmp_path, by_content=True)))
    (tmp_path / "in" / "a").rename(tmp_path / "b")
    ids.append((id_of_file(tmp_path), id_of_file(tmp_path, by_content=True)))
    assert len({by_stat for by_stat, _ in ids}) == len({by_content for _, by_content in ids}) == 3


def test_missing_file_and_file_to_be_made_have_different_ids(tmp_path):
    path = tmp_path / "a"
    missing, to_be_made = id_of_file(path), id_of_file(path, output_ref=True)
    path.write_text("")
    assert len({missing, to_be_made, id_of_file(path)}) == 3
    assert id_of_file(path, output_ref=True) == to_be_made


@pytest.mark.parametrize("by_content", [False, True])
def test_id_of_a_pattern_depends_on_all_files_that_match_it(tmp_path, by_content):
    pattern = File(str(tmp_path / "*.csv"), glob=True)

    def identity():
        with identify_files(by_content=by_content):
            return encode(pattern)

    ids = [identity()]
    (tmp_path / "a.csv").write_text("one")
    ids.append(identity())
    (tmp_path / "a.csv").write_text("three")
    ids.append(identity())
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    ids.append(identity())
    (tmp_path / "c.txt").write_text("no match")
    assert identity() == ids[-1]
    assert len(set(ids)) == len(ids)


def test_id_of_a_file_that_travels_depends_on_its_content():
    ids = []
    for key in (b"a" * 16, b"b" * 16):
        file = File("https://host.example/table.csv")
        file.item = Item(key + b"12345678", 5)
        ids.append(encode(file))
    assert len({*ids, encode(File("https://host.example/table.csv"))}) == 3


def test_id_of_a_file_elsewhere_depends_on_the_checksum_that_the_user_says():
    files = [File("https://host.example/table.csv", sha256=digit * 64) for digit in "ab"]
    assert len({encode(file) for file in (*files, File("https://host.example/table.csv"))}) == 3


def test_id_of_a_file_of_an_image_does_not_depend_on_the_file_of_that_path_here(tmp_path):
    file = File(f"docker:{tmp_path}/a")
    file.local_path = str(tmp_path / "a")
    before = encode(file)
    (tmp_path / "a").write_text("one")
    assert encode(file) == before
