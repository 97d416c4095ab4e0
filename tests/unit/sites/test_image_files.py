"""Image files of the driver's machine are looked at before they are sent."""

import gzip
import hashlib

import pytest

from cnflow.errors import ImageUnusableError
from cnflow.model.site_image import ImageForm
from cnflow.sites.image_files import read_image_file
from tests.unit.sites.image_archives import archive_of, sif_of, tar_of


def test_docker_archive_has_the_id_of_its_image(tmp_path):
    content, identity = archive_of({"hello": b"1"}, architecture="arm64")
    path = tmp_path / "app.tar"
    path.write_bytes(content)
    found = read_image_file(path)
    assert (found.form, found.digest, found.architecture) == (ImageForm.ARCHIVE, identity, "arm64")


def test_compressed_archive_is_the_same_image(tmp_path):
    content, identity = archive_of({"hello": b"1"})
    path = tmp_path / "app.tar.gz"
    path.write_bytes(gzip.compress(content))
    assert read_image_file(path).digest == identity


def test_archive_without_a_layer_is_refused(tmp_path):
    path = tmp_path / "app.tar"
    path.write_bytes(archive_of({"a": b"1"}, {"b": b"2"}, left_out=["1/layer.tar"])[0])
    with pytest.raises(ImageUnusableError, match=r"is cut: its layer 1/layer\.tar is missing"):
        read_image_file(path)


@pytest.mark.parametrize("content", [b"", b"no tar", tar_of({"hello": b"1"}), archive_of({"a": b"1" * 9000})[0][:4000]])
def test_file_that_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "app.tar"
    path.write_bytes(content)
    with pytest.raises(ImageUnusableError, match=r"is no whole Docker archive: .* docker save NAME -o app\.tar"):
        read_image_file(path)


def test_sif_is_named_by_its_bytes_and_tells_its_architecture(tmp_path):
    path = tmp_path / "app.sif"
    path.write_bytes(sif_of(architecture=b"04"))
    found = read_image_file(path, ImageForm.SIF)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.form, found.digest, found.architecture) == (ImageForm.SIF, f"sha256:{digest}", "arm64")


def test_sif_that_is_cut_is_refused(tmp_path):
    path = tmp_path / "app.sif"
    path.write_bytes(sif_of()[:-10])
    with pytest.raises(ImageUnusableError, match="is cut: it has 218 bytes, and its header names 228"):
        read_image_file(path)


def test_file_called_sif_that_is_none_is_refused(tmp_path):
    path = tmp_path / "app.sif"
    path.write_bytes(b"hello" * 100)
    with pytest.raises(ImageUnusableError, match="is no SIF"):
        read_image_file(path, ImageForm.SIF)


def test_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ImageUnusableError, match="cannot be read: Is a directory"):
        read_image_file(tmp_path)
