"""What makes an image in the form of a runtime: text of POSIX sh."""

import subprocess

import pytest

from cnflow.model.site_image import ImageForm
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime, PodmanRuntime, ShifterRuntime
from cnflow.sites.image_makers import NO_BUILDER, Builder, find_builder, from_archive, from_registry
from cnflow.sites.image_sources import parse_source
from cnflow.sites.image_ways import Place

ODD = "docker://host/it's $(odd);app:1"


@pytest.mark.parametrize(
    ("form", "found", "preferred", "builder"),
    [
        (ImageForm.SIF, ["/a/singularity", "/b/apptainer"], "", Builder("apptainer", "/b/apptainer")),
        (ImageForm.SIF, ["/a/singularity", "/b/apptainer"], "singularity", Builder("singularity", "/a/singularity")),
        (ImageForm.SIF, ["/a/podman"], "", NO_BUILDER),
        (ImageForm.FOLDER, ["/a/ch-image"], "", NO_BUILDER),
        (ImageForm.FOLDER, ["/a/ch-image", "/a/ch-convert"], "", Builder("ch-image", "/a/ch-image")),
        (ImageForm.ARCHIVE, ["/a/docker"], "", Builder("docker", "/a/docker")),
        (ImageForm.REFERENCE, ["/a/shifterimg"], "", Builder("shifterimg", "/a/shifterimg")),
    ],
)
def test_builder_is_a_program_of_the_login_node(form, found, preferred, builder):
    assert find_builder(form, found, preferred) == builder


@pytest.mark.parametrize(
    ("runtime", "found", "form"),
    [
        (ApptainerRuntime(), ["/a/apptainer"], ImageForm.SIF),
        (ApptainerRuntime(), [], ImageForm.FOLDER),
        (CharliecloudRuntime(), [], ImageForm.FOLDER),
        (PodmanRuntime(), [], ImageForm.ARCHIVE),
        (ShifterRuntime(), [], ImageForm.REFERENCE),
    ],
)
def test_form_is_one_that_the_login_node_can_make(runtime, found, form):
    assert Place.of(None, "/images", runtime, found, "amd64").form is form


BUILDERS = {
    ImageForm.SIF: ["apptainer", "singularity"],
    ImageForm.FOLDER: ["ch-image"],
    ImageForm.ARCHIVE: ["podman", "docker"],
    ImageForm.REFERENCE: ["shifterimg", "podman-hpc"],
}


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, names in BUILDERS.items() for name in names])
@pytest.mark.parametrize("has_login", [False, True])
@pytest.mark.parametrize("is_http", [False, True])
def test_pull_is_correct_shell_whatever_the_name(form, name, has_login, is_http):
    builder = Builder(name, f"/opt/it's/{name}")
    text = from_registry(form, builder, parse_source(ODD), has_login=has_login, is_http=is_http)
    done = subprocess.run(
        ["sh", "-n", "-c", text], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.stderr == ""
    if (has_login and form in {ImageForm.FOLDER, ImageForm.REFERENCE}) or (is_http and form is ImageForm.FOLDER):
        assert text == ""


def test_pull_of_shifter_names_the_image_as_its_gateway_does():
    builder = Builder("shifterimg", "/usr/bin/shifterimg")
    text = from_registry(ImageForm.REFERENCE, builder, parse_source("docker://a/b:1"), has_login=False)
    assert text == 'program=/usr/bin/shifterimg\nwatched "$program" pull docker:a/b:1 || fail make\n: >"$part"\n'


def test_pull_without_a_builder_is_none():
    assert from_registry(ImageForm.SIF, NO_BUILDER, parse_source("docker://a"), has_login=False) == ""


def test_image_for_podman_hpc_is_loaded_and_migrated():
    text = from_archive(ImageForm.REFERENCE, Builder("podman-hpc", "/bin/podman-hpc"), "app:1")
    assert 'watched "$program" load -i "$upload"' in text
    assert 'watched "$program" migrate app:1' in text


@pytest.mark.parametrize("form", [ImageForm.FOLDER, ImageForm.ARCHIVE])
def test_folder_and_archive_need_no_program_at_the_site(form):
    assert "$program" not in from_archive(form, NO_BUILDER, "app:1")
