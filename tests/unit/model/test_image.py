import copy
import pickle
import subprocess
import sys

import pytest

import cnflow
from cnflow.errors import ConfigurationError
from cnflow.model.image import FIELDS, NO_IMAGE, Image
from cnflow.model.image_parts import Credentials, Mount, Secret

FULL = Image(
    "registry:5000/app1:0.1",
    platform="linux/amd64",
    pull="always",
    credentials={"user": "me", "password": "env:PASSWORD"},
    environment={"A": "b"},
    secrets={"TOKEN": "file:~/token", "KEY": {"env": "KEY", "delivery": "environment"}},
    mounts=["/data:/data", "cache:/cache:rw", {"kind": "tmpfs", "target": "/scratch", "size": "1g"}],
    user="1000:1000",
    working_dir="/work",
    entrypoint="keep",
    shared_memory="64m",
    cpus=2,
    memory="4g",
    pids=100,
    gpus=[0, 1],
    network="lab",
    ulimits={"nofile": [1024, 4096], "core": 0},
    extras={"docker": {"read_only": True}},
)


def test_image_with_a_reference_alone_stands_for_the_text():
    image = Image("app1:0.1")
    assert image == "app1:0.1" == str(image)
    assert (hash(image), image.key, image.plain()) == (hash("app1:0.1"), "app1:0.1", "app1:0.1")
    assert image.is_plain
    assert Image.of("app1:0.1") == image


@pytest.mark.parametrize("nothing", [None, "", Image(), NO_IMAGE], ids=["None", "text", "image", "constant"])
def test_no_image_is_false(nothing):
    assert not Image.of(nothing)
    assert Image.of(nothing) == NO_IMAGE


def test_full_image_of_the_test_has_every_option_but_a_recipe_which_needs_none():
    assert [name for name in FIELDS if getattr(FULL, name) == getattr(NO_IMAGE, name)] == ["recipe"]


def test_image_survives_its_plain_form_pickle_copies_and_replace():
    for other in (Image.of(FULL.plain()), pickle.loads(pickle.dumps(FULL)), copy.deepcopy(FULL), FULL.replace()):
        assert other == FULL
        assert [getattr(other, name) for name in FIELDS] == [getattr(FULL, name) for name in FIELDS]
    assert eval(repr(Image("a", memory="1k")), {"Image": Image}) == Image("a", memory=1024)


def test_sizes_are_bytes_and_amounts_are_equal_however_they_are_written():
    assert FULL.memory == 4 * 2**30
    assert Image("a", memory="4g") == Image("a", memory=4 * 2**30)
    assert Image("a", memory="4GB").memory == 4 * 10**9


def test_options_tell_images_apart():
    assert len({Image("a"), Image("a", memory="1g"), Image("a", memory="2g"), Image("b", memory="1g")}) == 4
    assert FULL.replace(memory="8g") != FULL
    assert FULL.differences(FULL.replace(memory="8g", user="")) == ["user", "memory"]
    assert Image("a", secrets={"s": Secret(value="x")}) != Image("a", secrets={"s": Secret(value="y")})


def test_replace_keeps_what_it_does_not_name():
    changed = FULL.replace("app2:0.1", memory="8g")
    assert (changed.reference, changed.memory, changed.user) == ("app2:0.1", 8 * 2**30, "1000:1000")


def test_name_for_files_is_the_same_in_any_process_and_tells_options_apart():
    assert Image("a/b:1").name_for_files() == "a-b-1"
    assert Image("a", memory="1g").name_for_files() == "a-b5d9df4a"
    assert Image("a", memory="2g").name_for_files() != Image("a", memory="1g").name_for_files()
    assert Image("a", secrets={"s": Secret(value="x")}).name_for_files().startswith("a-")


def test_only_options_that_change_results_are_in_their_description():
    assert Image("a").result_settings() == ""
    limits = Image("a", memory="1g", cpus=1, pids=9, ulimits={"core": 0}, secrets=["S"], network="n", pull="never")
    assert limits.result_settings() == ""
    assert Image("a", environment={"A": "b"}).result_settings() == '{"environment": {"A": "b"}}'
    assert Image("a", mounts=["/x:/y"]).result_settings() != Image("a", mounts=["/z:/y"]).result_settings()


@pytest.mark.parametrize(
    ("short", "mount"),
    [
        ("/data:/data", Mount("/data", "/data", "bind", read_only=True)),
        ("/data:/data:ro", Mount("/data", "/data", read_only=True)),
        ("/data:/data:rw", Mount("/data", "/data", read_only=False)),
        ("~/data:/data", Mount("~/data", "/data", "bind")),
        ("./data:/data", Mount("./data", "/data", "bind")),
        ("cache:/cache:rw", Mount("cache", "/cache", "volume", read_only=False)),
        ("C:\\data:/data", Mount("C:\\data", "/data", "bind")),
    ],
    ids=["path", "ro", "rw", "home", "relative", "volume", "windows"],
)
def test_short_text_of_a_mount_is_read_only_unless_it_says_otherwise(short, mount):
    assert Mount.of(short) == mount
    assert Mount.of(mount.plain()) == mount


def test_memory_mount_can_be_written_to_and_has_a_size():
    mount = Mount(kind="tmpfs", target="/scratch", size="1m")
    assert (mount.read_only, mount.size) == (False, 2**20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memroy": "4g"}, r"no option 'memroy'\. Did you mean 'memory'\?"),
        ({"memory": "plenty"}, r"Image 'a': memory must be a number of bytes above 0"),
        ({"cpus": 0}, "cpus must be a number above 0"),
        ({"pids": 1.5}, "pids must be a whole number"),
        ({"gpus": "all"}, r"gpus must be a number \(-1 for all\)"),
        ({"pull": "sometimes"}, "pull must be one of 'missing', 'always', 'never'"),
        ({"entrypoint": "kep"}, "Did you mean 'keep'"),
        ({"environment": {"A": 1}}, "all of them texts"),
        ({"mounts": "/a:/b"}, r"mounts must be a list, such as"),
        ({"mounts": ["/a"]}, "'/a' is no mount: write 'SOURCE:TARGET'"),
        ({"mounts": ["/a:b"]}, "is no mount"),
        ({"mounts": ["/a:/b:Z"]}, "'/a:/b:Z' is no mount"),
        ({"mounts": ["/a:/b:rw,z"]}, "is no mount"),
        ({"extras": {"dokcer": {"read_only": True}}}, "'dokcer' is no runtime. Did you mean 'docker'"),
        ({"extras": {"podman": {"read_only": True}}}, "Podman takes those of 'docker'"),
        ({"mounts": ["/a:/b", "/c:/b"]}, "two mounts have the target '/b'"),
        ({"mounts": [{"source": "/a", "target": "/b", "readonly": True}]}, "no option 'readonly'. Did you mean 'read_"),
        ({"mounts": [{"kind": "bnid", "source": "/a", "target": "/b"}]}, "Did you mean 'bind'"),
        ({"mounts": [{"kind": "tmpfs", "source": "/a", "target": "/b"}]}, "a tmpfs has no source"),
        ({"mounts": [{"kind": "bind", "target": "/b"}]}, "the source is missing"),
        ({"mounts": [{"source": "/a", "target": "/b", "size": 1}]}, "only a tmpfs has a size"),
        ({"ulimits": {"nofile": "many"}}, r"ulimits.nofile must be a whole number, or a soft and a hard one"),
        ({"extras": {"docker": 1}}, "a dict of runtimes and their options"),
        ({"secrets": {"a b": "env:A"}}, "secrets must be named by letters"),
        ({"secrets": {"A": {"env": "A", "file": "/a"}}}, "A secret has one source"),
        ({"credentials": "me"}, "credentials are a user and the source of a password"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_wrong_options_are_refused_in_words(options, words):
    with pytest.raises(ConfigurationError, match=words):
        Image("a", **options)


def test_options_without_a_reference_are_refused():
    with pytest.raises(ConfigurationError, match="An image needs a reference"):
        Image(memory="4g")


def test_image_cannot_be_changed():
    with pytest.raises(ConfigurationError, match=r"use image\.replace\(memory=\.\.\.\)"):
        FULL.memory = 1
    with pytest.raises(ConfigurationError, match="nothing can be deleted"):
        del FULL.memory


def test_text_of_a_secret_is_in_no_representation_and_no_error(monkeypatch):
    text = "look-for-this"
    secret = Secret(value=text)
    image = Image("a", secrets={"s": secret}, credentials=("me", secret))
    assert text not in repr(image) + str(image) + image.key + image.result_settings()
    for wrong in ({"secrets": {"s": text}}, {"credentials": {"user": "me", "password": text}}):
        with pytest.raises(ConfigurationError) as caught:
            Image("a", **wrong)
        assert text not in str(caught.value)
    with pytest.raises(ConfigurationError, match="needs Python") as caught:
        image.plain()
    assert text not in str(caught.value)


def test_secrets_are_read_from_variable_file_text_and_function(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN", "one")
    (tmp_path / "token").write_text("two\n")
    sources = {"a": "env:TOKEN", "b": f"file:{tmp_path}/token", "c": Secret(value="three"), "d": lambda: "four"}
    assert Image("a", secrets=sources).read_secrets() == {"a": "one", "b": "two", "c": "three", "d": "four"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("env:CNFLOW_NOT_SET", "the driver has no variable 'CNFLOW_NOT_SET'"),
        ("file:/nowhere/token", "'/nowhere/token' cannot be read"),
        (lambda: 3, "its function returned a int"),
        (lambda: 1 / 0, "its function raised ZeroDivisionError"),
    ],
    ids=["variable", "file", "type", "raises"],
)
def test_secret_that_cannot_be_read_names_image_secret_and_source(source, words):
    with pytest.raises(ConfigurationError, match=f"Image 'a': secret 's': {words}"):
        Image("a", secrets={"s": source}).read_secrets()


def test_image_can_be_named_where_only_workers_are_installed():
    script = (
        "import sys\nsys.modules.update(dict.fromkeys(('pydantic', 'msgspec', 'zmq', 'docker')))\n"
        "import cnflow\nprint(cnflow.Image('a', memory='1k', mounts=[cnflow.Mount('b', '/b')]).memory)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (shown.stdout, shown.stderr) == ("1024\n", "")


def test_public_names_are_those_of_the_model():
    assert (cnflow.Image, cnflow.Mount, cnflow.Secret, cnflow.Credentials) == (Image, Mount, Secret, Credentials)
