import pytest

from cnflow import Config, Image, Mount, Secret
from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider, ThreadPoolExecutor, load_config
from cnflow.config.dump import to_toml
from cnflow.errors import ConfigurationError


def test_plain_image_leaves_the_settings_of_the_provider_alone():
    settings = DockerProvider(memory="1g")
    assert settings.for_image(Image("a")) is settings
    assert LocalProvider().for_image(Image("a", memory="1g")) == LocalProvider()


def test_options_of_the_image_win_over_those_of_the_provider():
    settings = DockerProvider(
        memory="1g",
        cpus=2,
        user="1",
        network="lab",
        environment={"A": "1", "B": "2"},
        pull="never",
        create={"tty": True},
    )
    image = Image(
        "a",
        memory="2g",
        environment={"B": "3"},
        pull="always",
        gpus=["0"],
        shared_memory=64,
        pids=9,
        platform="linux/arm64",
        working_dir="/w",
    )
    changed = settings.for_image(image)
    assert (changed.memory, changed.cpus, changed.user, changed.network) == (2**31, 2, "1", "lab")
    assert (changed.environment, changed.pull, changed.gpus) == ({"A": "1", "B": "3"}, "always", ["0"])
    assert changed.create == {
        "tty": True,
        "platform": "linux/arm64",
        "working_dir": "/w",
        "shm_size": 64,
        "pids_limit": 9,
    }
    assert (settings.memory, settings.create) == ("1g", {"tty": True})
    assert changed.traits().cores == 2


def test_mounts_and_limits_of_the_image_replace_those_of_the_same_place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA", "/srv/data")
    other = {"Type": "bind", "Source": "/x", "Target": "/x", "ReadOnly": False}
    settings = DockerProvider(
        create={
            "mounts": [other, {**other, "Target": "/in"}],
            "ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}, {"Name": "core", "Soft": 0, "Hard": 0}],
        }
    )
    image = Image(
        "a",
        mounts=["$DATA:/in", "./out:/out:rw", "cache:/cache", Mount(kind="tmpfs", target="/scratch", size=9)],
        ulimits={"nofile": (2, 3)},
        secrets={"S": "env:S"},
    )
    create = settings.for_image(image).create
    assert create["mounts"] == [
        other,
        {"Type": "bind", "Source": "/srv/data", "Target": "/in", "ReadOnly": True},
        {"Type": "bind", "Source": f"{tmp_path}/out", "Target": "/out", "ReadOnly": False},
        {"Type": "volume", "Source": "cache", "Target": "/cache", "ReadOnly": True},
        {"Type": "tmpfs", "Source": "", "Target": "/scratch", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 9}},
        {
            "Type": "tmpfs",
            "Source": "",
            "Target": "/run/secrets",
            "ReadOnly": False,
            "TmpfsOptions": {"Mode": 0o1777},
        },
    ]
    assert create["ulimits"] == [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 2, "Hard": 3}]
    assert settings.for_image(image).for_image(image) == settings.for_image(image)


def test_secret_that_is_a_variable_needs_no_memory():
    image = Image("a", secrets={"S": Secret(env="S", delivery="environment")})
    assert DockerProvider().for_image(image).create == {}


def test_extras_of_docker_are_passed_on_and_those_of_others_are_not():
    image = Image("a", pids=9, extras={"docker": {"read_only": True, "pids_limit": 8}, "kubernetes": {"x": 1}})
    assert DockerProvider().for_image(image).create == {"pids_limit": 8, "read_only": True}


def test_threads_refuse_an_image_in_words():
    with pytest.raises(ConfigurationError, match=r"'app1:0.1': tasks run in threads of the driver.*DockerProvider"):
        ThreadPoolExecutor(image="app1:0.1")


def test_image_of_a_file_is_a_text_or_a_table(tmp_path):
    (tmp_path / "c.toml").write_text("""
[[executors]]
kind = "high_throughput"
label = "one"
image = "app1:0.1"
provider = {kind = "docker"}

[[executors]]
kind = "high_throughput"
label = "two"
provider = {kind = "docker"}

[executors.image]
reference = "app2:0.1"
memory = "4g"
mounts = ["/data:/data"]
secrets = ["TOKEN"]
""")
    config = load_config(tmp_path / "c.toml")
    one, two = (executor.image for executor in config.executors)
    assert one == "app1:0.1"
    assert two == Image("app2:0.1", memory="4g", mounts=["/data:/data"], secrets=["TOKEN"])
    assert "[executors.image]" in to_toml(config)
    (tmp_path / "copy.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "copy.toml") == config


def test_mistake_in_the_table_of_an_image_is_explained(tmp_path):
    with pytest.raises(ConfigurationError, match=r"HighThroughputExecutor 'htex': An image has no option 'memroy'"):
        HighThroughputExecutor(label="htex", image={"reference": "a", "memroy": 1})


def test_secret_that_needs_python_is_not_written_to_a_file():
    executor = HighThroughputExecutor(image=Image("a", secrets={"S": Secret(value="look-for-this")}))
    with pytest.raises(ConfigurationError, match=r"executors.0.image: secrets.S is a secret whose source is a text"):
        to_toml(Config(executors=[executor]))
