"""A root file system is what the layers of an image give, one upon the other."""

import io
import tarfile

from cnflow.sites.root_tar import write_root_tar
from tests.unit.sites.image_archives import archive_of


def root_of(tmp_path, *layers, **options):
    archive = tmp_path / "app.tar"
    archive.write_bytes(archive_of(*layers, **options)[0])
    file = io.BytesIO()
    write_root_tar(archive, file)
    file.seek(0)
    found = {}
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            assert member.name not in found, "a member came twice"
            content = tar.extractfile(member) if member.isreg() else None
            found[member.name] = content.read() if content else member.linkname or None
    del found["ch/environment"]
    return found


def test_upper_layer_wins(tmp_path):
    lower = {"etc": None, "etc/a": b"old", "etc/b": b"b"}
    assert root_of(tmp_path, lower, {"etc/a": b"new"}) == {"etc/a": b"new", "etc": None, "etc/b": b"b"}


def test_whiteout_hides_a_file_and_a_folder_of_lower_layers(tmp_path):
    lower = {"a": b"1", "d": None, "d/x": b"2", "d2": None}
    assert root_of(tmp_path, lower, {".wh.a": b"", ".wh.d": b""}) == {"d2": None}


def test_opaque_folder_hides_what_is_below_it_alone(tmp_path):
    lower = {"d": None, "d/old": b"1", "e": b"2"}
    upper = {"d": None, "d/.wh..wh..opq": b"", "d/new": b"3"}
    assert root_of(tmp_path, lower, upper) == {"d": None, "d/new": b"3", "e": b"2"}


def test_file_that_is_made_anew_above_its_whiteout_stays(tmp_path):
    assert root_of(tmp_path, {"a": b"1"}, {".wh.a": b""}, {"a": b"3"}) == {"a": b"3"}


def test_folder_that_became_a_file_hides_its_content(tmp_path):
    assert root_of(tmp_path, {"d": None, "d/x": b"1"}, {"d": b"file"}) == {"d": b"file"}


def test_link_to_a_file_that_a_layer_above_replaced_keeps_its_own_content(tmp_path):
    lower = {"a": b"old", "b": ("link", "a")}
    assert root_of(tmp_path, lower, {"a": b"new"}) == {"a": b"new", "b": b"old"}


def test_link_within_a_layer_stays_a_link(tmp_path):
    assert root_of(tmp_path, {"a": b"1", "b": ("link", "a"), "c": ("symlink", "a")}) == {"a": b"1", "b": "a", "c": "a"}


def test_variables_of_the_image_are_kept_where_charliecloud_reads_them(tmp_path):
    archive, file = tmp_path / "app.tar", io.BytesIO()
    archive.write_bytes(archive_of({}, variables=["PATH=/opt/bin", "A=b c"])[0])
    assert write_root_tar(archive, file) == ["PATH=/opt/bin", "A=b c"]
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        assert tar.extractfile("ch/environment").read() == b"PATH=/opt/bin\nA=b c\n"
