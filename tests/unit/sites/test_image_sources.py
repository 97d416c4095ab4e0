"""What the user's name of an image means."""

import pytest

from cnflow.model.site_image import ImageForm
from cnflow.sites.image_sources import ImageSource, SourceKind, file_name, parse_source

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ("app:1", ImageSource(SourceKind.NAME, "app:1")),
        ("host:5000/a/app", ImageSource(SourceKind.NAME, "host:5000/a/app")),
        (f"app@{DIGEST}", ImageSource(SourceKind.NAME, f"app@{DIGEST}")),
        ("docker://host/app:1", ImageSource(SourceKind.REGISTRY, "host/app:1")),
        ("oras://host/app:1", ImageSource(SourceKind.ARTIFACT, "host/app:1", "oras")),
        ("library://lolcow", ImageSource(SourceKind.ARTIFACT, "lolcow", "library")),
        ("docker-daemon:app:1", ImageSource(SourceKind.ENGINE, "app:1")),
        ("docker-archive:/data/app", ImageSource(SourceKind.FILE, "/data/app", form=ImageForm.ARCHIVE)),
        ("images/app.sif", ImageSource(SourceKind.FILE, "images/app.sif", form=ImageForm.SIF)),
        ("app.tar.gz", ImageSource(SourceKind.FILE, "app.tar.gz", form=ImageForm.ARCHIVE)),
        ("$SCRATCH/app", ImageSource(SourceKind.FILE, "$SCRATCH/app")),
        ("~/app", ImageSource(SourceKind.FILE, "~/app")),
        (DIGEST, ImageSource(SourceKind.CONTENT, DIGEST)),
    ],
)
def test_name_means_a_source(reference, source):
    assert parse_source(reference) == source


def test_source_of_a_registry_has_the_url_that_apptainer_takes():
    assert parse_source("docker://app:1").url == "docker://app:1"
    assert parse_source("app:1").url == "docker://app:1"
    assert parse_source("oras://app:1").url == "oras://app:1"


def test_file_in_the_cache_is_named_by_content_and_form():
    assert file_name(DIGEST, ImageForm.SIF) == "a1" * 32 + ".sif"
    assert file_name(DIGEST, ImageForm.FOLDER) == "a1" * 32
