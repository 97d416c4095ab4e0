"""What an image is called, by its recipe and the files that this names."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from cnflow import Image
from cnflow.errors import ImageBuildError
from cnflow.images.context import collect, digest_of, ignored_in, write_folder, write_tar
from cnflow.images.dockerfile import COPIED
from cnflow.images.plan import make_plan

BASE = {"base:1": "sha256:1"}


def tag(image, bases=BASE, platform="linux/amd64", environment=None):
    return make_plan(image.recipe, environment or {}).fingerprint(bases, platform)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    return tmp_path


def test_name_follows_the_content_of_copied_files_alone(folder):
    image = Image("base:1").copy_local("src", "/opt")
    first = tag(image)
    os.utime(folder / "src" / "a.py", (1, 1))
    assert tag(image) == first
    (folder / "src" / "a.py").write_text("a = 2\n")
    assert tag(image) != first


def test_name_follows_steps_base_and_platform(folder):
    image = Image("base:1").run("make")
    names = [
        tag(image),
        tag(Image("base:1").run("make all")),
        tag(image, {"base:1": "sha256:2"}),
        tag(image, platform="linux/arm64"),
    ]
    assert len(set(names)) == len(names)


def test_value_of_a_secret_is_no_part_of_the_name(folder, monkeypatch):
    image = Image("base:1").run("make", secrets=["TOKEN"])
    monkeypatch.setenv("TOKEN", "one")
    first = tag(image)
    monkeypatch.setenv("TOKEN", "two")
    assert tag(image) == first


def test_way_of_a_secret_is_part_of_the_name(folder):
    names = {tag(Image("base:1").run("make", secrets={"TOKEN": source})) for source in ("env:TOKEN", "file:token")}
    assert len(names) == 2


def test_base_of_a_python_is_given_named_by_the_environment_or_slim():
    def base_of(image, environment):
        return make_plan(image.recipe, environment).bases

    own = {"CNFLOW_BASE_IMAGE": "registry:5000/python:{python}"}
    assert base_of(Image.python("3.12"), {}) == ("python:3.12-slim",)
    assert base_of(Image.python("3.12"), own) == ("registry:5000/python:3.12",)
    assert base_of(Image.python("3.12", base="base:1"), own) == ("base:1",)


def test_ignored_files_are_neither_copied_nor_part_of_the_name(folder):
    image = Image("base:1").copy_local("src", "/opt")
    (folder / "src" / ".dockerignore").write_text("*.log\n")
    first = tag(image)
    (folder / "src" / "run.log").write_text("x")
    assert tag(image) == first
    names = [entry.name for entry in make_plan(image.recipe).entries]
    assert names == [f"{COPIED}/1", f"{COPIED}/1/.dockerignore", f"{COPIED}/1/a.py"]


def test_dockerignore_of_a_dockerfile_wins_over_that_of_the_folder(folder):
    (folder / "src" / "Dockerfile").write_text("FROM base:1\nCOPY . /opt\n")
    (folder / "src" / ".dockerignore").write_text("a.py\n")
    (folder / "src" / "Dockerfile.dockerignore").write_text("**/.dockerignore\nDockerfile*\n")
    assert [entry.name for entry in make_plan(Image.from_dockerfile("src").recipe).entries] == ["a.py"]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image("base:1").copy_local("nowhere", "/opt"), "nowhere does not exist and is to be copied"),
        (Image.from_requirements("nowhere.txt"), "nowhere.txt does not exist"),
        (Image.from_dockerfile("src"), "Dockerfile does not exist"),
        (Image.from_dockerfile("src/a.py"), "is no Dockerfile: it has no FROM"),
        (Image("base:1").copy_local("$CNFLOW_UNSET_XY/a", "/opt"), "CNFLOW_UNSET_XY"),
    ],
    ids=["file", "requirements", "dockerfile", "no FROM", "variable"],
)
def test_missing_file_is_named(folder, image, words):
    with pytest.raises(ImageBuildError, match=words):
        make_plan(image.recipe)


def test_context_that_is_too_large_is_refused_with_its_size_and_largest_files(folder):
    (folder / "src" / "data.bin").write_bytes(b"x" * 3000)
    image = Image(recipe={"base": "base:1", "context_limit": 2048, "steps": [{"copy_local": "src", "to": "/opt"}]})
    with pytest.raises(ImageBuildError, match=r"have 2.9 KiB, more than context_limit=2 KiB; the largest: .*data.bin"):
        make_plan(image.recipe)


def test_included_requirements_come_along_under_names_of_their_own(folder):
    (folder / "requirements.txt").write_text("six\n-r src/more.txt\n-c limits.txt\n")
    (folder / "src" / "more.txt").write_text("toolz\n--requirement ../requirements.txt\n")
    (folder / "limits.txt").write_text("six<2\n")
    files = {
        entry.name: entry.content.decode()
        for entry in make_plan(Image.from_requirements("requirements.txt").recipe).entries
    }
    assert files == {
        f"{COPIED}/1": "",
        f"{COPIED}/1/requirements.txt": "six\n-r included-1.txt\n-c included-2.txt\n",
        f"{COPIED}/1/included-1.txt": "toolz\n--requirement requirements.txt\n",
        f"{COPIED}/1/included-2.txt": "six<2\n",
    }


@pytest.mark.parametrize("line", ["-e .", "./wheels/a.whl", "a @ file:///tmp/a", "--editable src"])
def test_package_of_this_machine_in_requirements_is_refused(folder, line):
    (folder / "requirements.txt").write_text(f"six\n{line}\n")
    with pytest.raises(ImageBuildError, match=r"requirements\.txt, line 2"):
        make_plan(Image.from_requirements("requirements.txt").recipe)


@pytest.fixture
def uv(monkeypatch):
    """The program, where this environment or the one of the other tests has it."""
    own = Path(sys.executable).parent
    cached = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cnflow/uv/bin"
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(own), str(cached)]))
    if shutil.which("uv") is None:
        pytest.skip("There is no uv. Run: .ci/uv")


@pytest.mark.usefixtures("uv")
def test_lock_file_of_uv_is_read_with_its_hashes(folder):
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["six"]\n'
    )
    sha = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
    (folder / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.10"\n\n[[package]]\nname = "p"\nversion = "1"\n'
        'source = { virtual = "." }\n'
        'dependencies = [{ name = "six" }]\n\n[package.metadata]\nrequires-dist = [{ name = "six" }]\n\n[[package]]\n'
        'name = "six"\nversion = "1.16.0"\nsource = { registry = "https://pypi.org/simple" }\nwheels = [{ url = '
        f'"https://example.org/six-1.16.0-py2.py3-none-any.whl", hash = "sha256:{sha}" }}]\n'
    )
    entry = make_plan(Image.from_uv_lock(".").recipe).entries[1]
    assert f"six==1.16.0 \\\n    --hash=sha256:{sha}" in entry.content.decode()


def test_two_steps_with_different_secrets_of_one_name_are_refused():
    image = Image("base:1").run("a", secrets=["T"]).run("b", secrets={"T": "file:/t"})
    with pytest.raises(ImageBuildError, match="different secrets 'T'"):
        _ = make_plan(image.recipe).secrets


def test_what_is_written_has_the_hash_that_was_promised(folder):
    (folder / "src" / "sub").mkdir(mode=0o700)
    (folder / "src" / "sub" / "b.sh").write_text("echo\n")
    (folder / "src" / "sub" / "b.sh").chmod(0o755)
    (folder / "src" / "link").symlink_to("a.py")
    entries = collect(folder / "src", ignored_in(folder / "src"))
    (folder / "copy").mkdir()
    with (folder / "tar").open("wb") as tar:
        assert digest_of(entries) == write_folder(entries, folder / "copy") == write_tar(entries, tar)
    assert digest_of(collect(folder / "copy", ignored_in(folder / "copy"))) == digest_of(entries)
