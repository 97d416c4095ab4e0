"""Images are brought to a site: this machine's engines, registries and files in; SIFs, folders and archives out."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnflow.channels.local import LocalBackend
from cnflow.config.channels import LocalChannel
from cnflow.errors import BlockRejectedError, ImageNotFoundError, ImageUnusableError
from cnflow.executors.image_pins import ImagePins
from cnflow.model.image import Image
from cnflow.model.node_command import NodeCommand
from cnflow.model.site_image import ImageForm
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime, PodmanRuntime
from cnflow.sites.courier import SiteImages
from cnflow.sites.folder import SiteFolder
from cnflow.sites.node_copy import with_node_copy
from tests.services.site_images import site_image
from tests.unit.sites.image_archives import archive_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


class FarChannel(LocalBackend):
    """The channel of this machine, by which bytes go as over a network."""

    name = "the far machine"
    is_local = False


@pytest.fixture
def site(tmp_path):
    return SiteFolder(LocalBackend(LocalChannel()), str(tmp_path / "site"))


@pytest.fixture
def far_site(tmp_path):
    return SiteFolder(FarChannel(LocalChannel()), str(tmp_path / "far"))


@pytest.fixture
def sif(engine, image_base, tmp_path):
    """A SIF of the image, made once for all tests."""
    return Path(shutil.copyfile(site_image(engine, image_base, ImageForm.SIF).path, tmp_path / "app.sif"))


def tmp_name(path):
    return f"cnflow-test-{path.parent.name}".replace("_", "-").lower()


def fetch(site, image, runtime=None, cache=None):
    lines = []
    image = image if isinstance(image, Image) else Image(image)
    return SiteImages(site, runtime or ApptainerRuntime(), cache).fetch(image, lines.append), lines


def run_in(fetched, *argv):
    command = fetched.runtime.wrap(NodeCommand(argv), fetched.image)
    return subprocess.run(command.argv, capture_output=True, text=True, check=False)


def files_of(site):
    return sorted(path.name for path in Path(site.facts().folder, "images").iterdir())


@pytest.mark.apptainer
def test_image_of_the_engine_becomes_a_sif_once_with_the_id_that_the_engine_has(site, engine, image_base):
    identity = engine.images.get(image_base).id
    fetched, _ = fetch(site, image_base)
    assert fetched.image.form is ImageForm.SIF
    assert (str(fetched.identity), fetched.is_new) == (identity, True)
    assert fetched.identity.facts.python == fetched.probe.version
    assert fetched.identity.facts.packages
    assert fetched.identity.facts.platform.startswith("linux/")
    name = Path(fetched.image.path).name
    assert name == f"{identity.removeprefix('sha256:')}.sif"
    assert files_of(site) == [name, f"{name}.facts"]
    assert run_in(fetched, "python3", "-c", "print(6 * 7)").stdout == "42\n"
    again, lines = fetch(site, image_base)
    assert (again.image, again.identity.facts, again.probe, lines) == (
        fetched.image,
        fetched.identity.facts,
        fetched.probe,
        [],
    )


@pytest.mark.charliecloud
@pytest.mark.long
def test_site_of_charliecloud_gets_a_folder(far_site, image_base):
    fetched, _ = fetch(far_site, image_base, CharliecloudRuntime())
    assert fetched.image.form is ImageForm.FOLDER
    assert fetched.probe is not None
    assert Path(fetched.image.path, "ch", "environment").is_file()


@pytest.mark.podman
@pytest.mark.usefixtures("podman_configuration")
@pytest.mark.long
def test_site_of_podman_gets_an_archive(far_site, image_base):
    fetched, _ = fetch(far_site, image_base, PodmanRuntime())
    assert fetched.image.form is ImageForm.ARCHIVE
    assert fetched.probe is not None


@pytest.mark.long
def test_login_node_without_apptainer_gets_a_folder(site, image_base, monkeypatch, tmp_path):
    """tar is all that it needs."""
    monkeypatch.setattr("cnflow.sites.courier._PROGRAMS", ("apptainer-that-is-not-there",))
    fetched, lines = fetch(site, image_base, ApptainerRuntime(program=str(tmp_path / "apptainer")))
    assert fetched.image.form is ImageForm.FOLDER
    assert fetched.probe is None
    assert "starts no container of it" in lines[-1]


@pytest.mark.apptainer
@pytest.mark.registry
@pytest.mark.long
def test_site_pulls_by_digest_and_the_id_is_that_of_the_engine(site, registries, engine, image_base):
    name = registries.name()
    assert engine.images.get(image_base).tag(name)
    digest = registries.push(name)
    registries.forget(name)
    fetched, lines = fetch(site, name)
    repository = name.rpartition(":")[0]
    assert fetched.identity.facts.digest == f"{repository}@{digest}"
    assert str(fetched.identity) == engine.images.get(image_base).id
    assert fetched.probe is not None
    assert any("Fetching OCI image" in line for line in lines)
    assert fetch(site, f"docker://{name}")[0].is_new is False


@pytest.mark.apptainer
@pytest.mark.registry
def test_password_of_a_registry_is_used_at_the_site(site, registries, monkeypatch):
    name = registries.name(registries.password)
    digest = registries.publish(name, auth_config=registries.login)
    monkeypatch.setenv("SECRET_OF_TESTS", registries.login["password"])
    login = {"user": registries.login["username"], "password": "env:SECRET_OF_TESTS"}
    fetched, _ = fetch(site, Image(name, credentials=login))
    assert fetched.identity.facts.digest.endswith(f"@{digest}")
    assert fetched.probe is None, "it has no Python"
    with pytest.raises(ImageNotFoundError, match="wants other credentials"):
        fetch(site, name.replace(":1", ":2"))


@pytest.mark.registry
def test_registry_that_the_site_does_not_reach_is_asked_by_the_driver(far_site, registries, monkeypatch):
    name = registries.name()
    digest = registries.publish(name)
    monkeypatch.setattr("cnflow.sites.image_arrival.reaches", lambda channel, reference: False)
    fetched, lines = fetch(far_site, name, CharliecloudRuntime())
    assert fetched.identity.facts.digest.endswith(f"@{digest}")
    assert Path(fetched.image.path, "hello").read_bytes() == b"1"
    assert "the far machine does not pull it: this machine does, and sends it" in lines


@pytest.mark.charliecloud
@pytest.mark.registry
def test_site_of_charliecloud_pulls_by_its_own_program(site, registries, monkeypatch):
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    authority = f"{cache}/cnflow/services/registry/ca.crt"
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority)
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")  # ch-image is for the system's Python
    name = registries.name(registries.tls)
    digest = registries.publish(name)
    fetched, lines = fetch(site, f"docker://{name}", CharliecloudRuntime())
    assert fetched.identity.facts.digest.endswith(f"@{digest}")
    assert Path(fetched.image.path, "hello").read_bytes() == b"1"
    assert any("image arch" in line for line in lines), lines
    assert files_of(site)[0] == Path(fetched.image.path).name


def test_image_with_a_recipe_is_built_here_and_sent(far_site, engine, image_base):
    image = Image(image_base).env(MADE="by a recipe")
    try:
        fetched, _ = fetch(far_site, image, CharliecloudRuntime())
        assert "MADE=by a recipe" in Path(fetched.image.path, "ch", "environment").read_text()
        assert engine.images.get(str(fetched.identity)).id == fetched.identity
        assert fetch(far_site, image, CharliecloudRuntime())[0].is_new is False
    finally:
        engine.images.remove(str(fetched.identity), force=True)


@pytest.mark.apptainer
@pytest.mark.registry
def test_sif_of_a_registry_is_pulled_as_it_is_and_kept_by_its_name(site, registries, sif):
    name = f"oras://{registries.plain}/{tmp_name(sif)}:1"
    subprocess.run(["apptainer", "push", "--no-https", sif, name], check=True, capture_output=True)
    fetched, _ = fetch(site, name)
    assert fetched.identity == f"sha256:{hashlib.sha256(sif.read_bytes()).hexdigest()}"
    assert fetched.probe is not None
    assert fetch(site, name)[0].is_new is False
    assert fetch(site, Image(name, pull="always"))[0].image == fetched.image


@pytest.mark.apptainer
@pytest.mark.registry
def test_image_that_is_nowhere_is_told(site, registries):
    with pytest.raises(ImageNotFoundError, match="has no image of this name") as raised:
        fetch(site, f"{registries.plain}/cnflow-nowhere:1")
    assert "Build it, push it, or correct its name." in str(raised.value)
    assert files_of(site) == []


def test_image_of_the_engine_alone_is_not_pulled(site):
    with pytest.raises(ImageNotFoundError, match=r"'docker-daemon:cnflow-nowhere:1' was not found\. No engine"):
        fetch(site, "docker-daemon:cnflow-nowhere:1")


@pytest.mark.apptainer
@pytest.mark.long
def test_docker_archive_and_the_engine_give_one_sif(site, engine, image_base, tmp_path):
    archive = tmp_path / "app.tar"
    with archive.open("wb") as file:
        for part in engine.images.get(image_base).save():
            file.write(part)
    first, _ = fetch(site, str(archive))
    assert first.is_new
    assert fetch(site, image_base)[0].is_new is False


@pytest.mark.apptainer
def test_sif_is_run_from_where_it_is_or_sent(site, far_site, sif, tmp_path):
    spaced = tmp_path / "my app.sif"
    shutil.copyfile(sif, spaced)
    sent, _ = fetch(far_site, str(spaced))
    assert sent.image.path.startswith(f"{far_site.facts().folder}/images/")
    assert sent.is_new
    assert sent.probe is not None
    home = Path.home() / f".cnflow-test-{tmp_path.name}.sif"
    try:
        shutil.move(spaced, home)
        in_place, _ = fetch(site, str(home))
        assert (in_place.image.path, in_place.identity) == (str(home), sent.identity)
        assert fetch(far_site, f"~/{home.name}")[0].identity == sent.identity
    finally:
        home.unlink()


@pytest.mark.apptainer
def test_sif_with_damaged_content_is_refused_and_not_kept(far_site, sif, tmp_path):
    content = bytearray(sif.read_bytes())
    middle = content.rfind(b"hsqs")  # the superblock of its file system
    content[middle : middle + 96] = bytes(96)
    damaged = tmp_path / "damaged.sif"
    damaged.write_bytes(content)
    with pytest.raises(ImageUnusableError, match="is damaged"):
        fetch(far_site, str(damaged))
    assert not [name for name in files_of(far_site) if name.endswith(".sif")]


@pytest.mark.apptainer
def test_archive_for_another_architecture_is_refused_before_it_is_sent(far_site, tmp_path):
    archive = tmp_path / "app.tar"
    archive.write_bytes(archive_of({"hello": b"1"}, architecture="s390x")[0])
    with pytest.raises(ImageUnusableError, match="is for s390x, and the machines of the far machine are"):
        fetch(far_site, str(archive))


@pytest.mark.charliecloud
def test_sif_for_a_runtime_that_takes_none_is_refused(site, tmp_path):
    sif = tmp_path / "app.sif"
    sif.write_bytes(b"\0" * 32 + b"SIF_MAGIC\0" + b"\0" * 200)
    with pytest.raises(BlockRejectedError, match="is a SIF, which Apptainer alone runs"):
        fetch(site, str(sif), CharliecloudRuntime())


@pytest.mark.apptainer
@pytest.mark.root
def test_full_file_system_is_told_with_what_to_do(site, image_base, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        with pytest.raises(ImageUnusableError, match="no space is left") as raised:
            fetch(site, image_base, cache=str(small))
        assert "image_cache_dir=" in str(raised.value)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.long
def test_many_drivers_bring_an_image_once(tmp_path, image_base):
    results = []

    def driver():
        own = SiteFolder(LocalBackend(LocalChannel()), str(tmp_path / "site"))
        results.append(fetch(own, image_base, CharliecloudRuntime())[0])

    threads = [threading.Thread(target=driver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.is_new for each in results) == [False, False, False, True]
    assert len({each.image for each in results}) == 1


@pytest.mark.apptainer
def test_run_keeps_to_one_image_and_records_it(far_site, sif, tmp_path):
    images = SiteImages(far_site, ApptainerRuntime())
    pins = ImagePins(tmp_path / "images.lock")
    prepare = lambda image: images.fetch(image).identity  # noqa: E731 - as a provider's method
    first, identity = pins.resolve(Image(str(sif)), prepare)
    again, other = pins.resolve(Image(str(sif)), prepare)
    assert (first.reference, again.reference, other) == (str(sif), str(identity), identity)
    record = (tmp_path / "images.lock").read_text()
    assert f'id = "{identity}"' in record
    assert f'python = "{identity.facts.python}"' in record


@pytest.mark.apptainer
def test_node_copies_a_sif_once_and_runs_the_copy(far_site, sif, tmp_path):
    fetched, _ = fetch(far_site, str(sif))
    command = fetched.runtime.wrap(NodeCommand(("sh", "-c", "echo $APPTAINER_CONTAINER")), fetched.image)
    copying = with_node_copy(command, fetched.image, str(tmp_path / "node dir"))
    started = [subprocess.Popen(copying.argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate()[0].strip() for process in started}
    copy = tmp_path / "node dir" / Path(fetched.image.path).name
    assert outputs == {str(copy)}
    assert list(copy.parent.iterdir()) == [copy]


@pytest.mark.apptainer
def test_node_without_room_runs_the_image_from_where_it_is(far_site, sif):
    fetched, _ = fetch(far_site, str(sif))
    command = fetched.runtime.wrap(NodeCommand(("echo", "runs")), fetched.image)
    copying = with_node_copy(command, fetched.image, "/proc/no-folder")
    done = subprocess.run(copying.argv, capture_output=True, text=True, check=True)
    assert done.stdout == "runs\n"
    assert "the node's folder /proc/no-folder cannot be made" in done.stderr


@pytest.mark.apptainer
@pytest.mark.long
def test_image_push_brings_it_to_each_site_of_a_configuration_once(sif, tmp_path):
    config = tmp_path / "cluster.toml"
    lines = []
    for label, folder in (("a", "one"), ("b", "one"), ("c", "two")):
        provider = f'provider = {{ kind = "slurm", site_dir = "{tmp_path}/{folder}" }}'
        lines += ["[[executors]]", 'kind = "high_throughput"', f'label = "{label}"', provider]
    config.write_text("\n".join(lines) + "\n")
    argv = [sys.executable, "-m", "cnflow.cli", "image", "push", str(sif), "--config", str(config)]
    for words in ("brought", "was there"):
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        shown = done.stdout.splitlines()
        assert [line.startswith(f"this machine: {words}: {tmp_path}/") for line in shown] == [True, True]
    failed = subprocess.run([*argv, "--executor", "d"], capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert "No executor is labelled 'd'" in failed.stderr
