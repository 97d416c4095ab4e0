"""Images go to a site over ssh: to a real sshd, through what profiles print, and while connections break."""

import os
import signal
from pathlib import Path

import pytest

from cnflow.config.registry import backend_of
from cnflow.errors import BlockError
from cnflow.model.image import Image
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime
from cnflow.sites.courier import SiteImages
from cnflow.sites.folder import SiteFolder
from cnflow.sites.registry_lookup import get_there, look_up, reaches
from tests.services.sshd_server import Sshd

pytestmark = [pytest.mark.docker, pytest.mark.sshd, pytest.mark.timeout(300)]

NOISE = 'echo "Welcome to the cluster"; printf "quota: 99%%"; '


@pytest.fixture
def channel(tmp_path):
    server = Sshd(tmp_path / "sshd", force_command=NOISE + 'exec sh -c "$SSH_ORIGINAL_COMMAND"')
    settings = server.settings()
    channel = backend_of(settings)(settings)
    yield channel
    channel.close()
    server.stop()


@pytest.fixture
def site(channel, tmp_path):
    return SiteFolder(channel, str(tmp_path / "it's a site"))


@pytest.mark.apptainer
def test_image_of_the_engine_is_sent_and_becomes_a_sif_there(site, engine, image_base):
    lines = []
    fetched = SiteImages(site, ApptainerRuntime()).fetch(Image(image_base), lines.append)
    assert str(fetched.identity) == engine.images.get(image_base).id
    assert fetched.image.path.startswith(f"{site.facts().folder}/images/")
    assert fetched.probe is not None
    assert any(line.startswith("sending ") for line in lines)
    assert SiteImages(site, ApptainerRuntime()).fetch(Image(image_base)).is_new is False


@pytest.mark.charliecloud
@pytest.mark.long
def test_connection_that_is_killed_leaves_nothing_and_the_next_try_succeeds(site, channel, image_base, monkeypatch):
    started = []
    real = channel.start
    monkeypatch.setattr(channel, "start", lambda argv: started.append(real(argv)) or started[-1])

    def kill_when_it_sends(words):
        if words.startswith("sending "):
            os.kill(started[-1].pid, signal.SIGKILL)

    with pytest.raises(BlockError):
        SiteImages(site, CharliecloudRuntime()).fetch(Image(image_base), kill_when_it_sends)
    monkeypatch.undo()
    fetched = SiteImages(site, CharliecloudRuntime()).fetch(Image(image_base))
    assert fetched.is_new
    left = {path.name for path in Path(site.facts().folder, "images").iterdir()}
    assert left == {Path(fetched.image.path).name, f"{Path(fetched.image.path).name}.facts"}


@pytest.mark.registry
def test_site_looks_a_name_up_where_the_driver_cannot(channel, registries):
    name = registries.name()
    digest = registries.publish(name)
    found = look_up(name, "amd64", None, get_there(channel))
    assert found is not None
    assert found.reference == f"{name.rpartition(':')[0]}@{digest}"
    assert found.is_http
    assert look_up("127.0.0.1:9/none:1", "amd64", None, get_there(channel)) is None
    assert not reaches(channel, "127.0.0.1:9/none:1")


@pytest.mark.registry
def test_password_reaches_a_registry_through_the_site_and_no_command_line(channel, registries, monkeypatch):
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    argvs = []
    real = channel.run
    monkeypatch.setattr(channel, "run", lambda argv, **options: argvs.append(argv) or real(argv, **options))
    login = (registries.login["username"], registries.login["password"])
    assert look_up(name, "amd64", login, get_there(channel)) is not None
    assert argvs
    assert not any(login[1] in word for argv in argvs for word in argv)
