import pytest

from cnflow.config import Image
from cnflow.config.batch import SiteSettings
from cnflow.errors import ConfigurationError
from cnflow.model.node_command import NodeCommand
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.runtimes import (
    ApptainerRuntime,
    AutoRuntime,
    CharliecloudRuntime,
    DockerRuntime,
    NoRuntime,
    PodmanHPCRuntime,
    PodmanRuntime,
    ShifterRuntime,
    SingularityRuntime,
)

ALL = [ApptainerRuntime, CharliecloudRuntime, DockerRuntime, PodmanHPCRuntime, PodmanRuntime, ShifterRuntime]
ENGINES = [DockerRuntime, PodmanHPCRuntime, PodmanRuntime]
OTHERS = [each for each in ALL if each not in ENGINES]
COMMAND = NodeCommand(
    ("python3", "run me"), {"NAME": "value $x"}, {"/s/settings": b""}, {"/site": "/site", "/c": "/d:ro"}
)


def image_for(runtime):
    return SiteImage("app:1", runtime().form, "/images/app one", "sha256:0123")


@pytest.mark.parametrize("runtime", ALL)
def test_options_of_an_image_win_over_those_of_its_runtime(runtime):
    own = runtime(environment={"A": "1", "B": "2"}, mounts={"/data": "/data"}, working_dir="/here", options=["-x"])
    image = Image(
        "app:1", environment={"B": "3"}, mounts=["/ref:/ref"], working_dir="/there", entrypoint=["tini", "--"]
    )
    made = own.for_image(image)
    assert made.environment == {"A": "1", "B": "3"}
    assert made.mounts == {"/data": "/data", "/ref": "/ref:ro"}
    assert (made.working_dir, made.entrypoint, made.options) == ("/there", ["tini", "--"], ["-x"])
    assert own.environment == {"A": "1", "B": "2"}, "the settings themselves are as they were"


@pytest.mark.parametrize("runtime", ALL)
def test_shares_of_cores_and_memory_reach_the_manager(runtime):
    made = runtime().for_image(Image("app:1", cpus=2.5, memory="1g"))
    assert made.environment == {"CNFLOW_CORES": "2.5", "CNFLOW_MEMORY": str(2**30)}


@pytest.mark.parametrize("runtime", OTHERS)
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"user": "app"}, "has no user: a container has the user of its job"),
        ({"pids": 100}, "has no pids: the limit of processes is the scheduler's"),
        ({"ulimits": {"nofile": 100}}, "has no ulimits: limits are those of the job"),
        ({"network": "mine"}, "has no network: a container has the network of its node"),
        ({"gpus": ["0"]}, "is the scheduler's choice"),
        ({"mounts": ["models:/models"]}, "has no mounts of the kind 'volume'"),
    ],
)
def test_option_that_only_engines_have_is_refused_elsewhere(runtime, option, words):
    with pytest.raises(ConfigurationError, match=words):
        runtime().for_image(Image("app:1", **option))


@pytest.mark.parametrize("runtime", ENGINES)
def test_engine_gets_options_of_an_image_as_its_own(runtime):
    image = Image(
        "app:1",
        user="1:2",
        pids=9,
        ulimits={"nofile": (1, 2)},
        network="mine",
        shared_memory="1k",
        memory="1k",
        mounts=["models:/models", {"kind": "tmpfs", "target": "/fast", "size": "1k"}],
    )
    made = runtime().for_image(image)
    assert made.for_image(image) == made
    assert made.options == [
        "--mount=type=volume,source=models,target=/models,readonly",
        "--mount=type=tmpfs,target=/fast,tmpfs-size=1024",
        "--user=1:2",
        "--pids-limit=9",
        "--network=mine",
        "--ulimit=nofile=1:2",
        "--ipc=private",
        "--shm-size=1024",
        "--memory=1024",
        "--memory-swap=1024",
    ]


def test_extras_of_an_image_are_options_of_its_runtime_alone():
    image = Image("app:1", extras={"apptainer": {"options": ["--fakeroot"]}})
    assert ApptainerRuntime(options=["-x"]).for_image(image).options == ["-x", "--fakeroot"]
    assert CharliecloudRuntime().for_image(image).options == []
    with pytest.raises(ConfigurationError, match="runtime='apptainer'"):
        AutoRuntime().for_image(image)
    with pytest.raises(ConfigurationError, match=r"\{'apptainer': \{'options': \['--OPTION'\]\}\}"):
        ApptainerRuntime().for_image(Image("app:1", extras={"apptainer": {"nv": True}}))


def test_settings_of_a_site_for_an_image_have_its_runtime():
    settings = SiteSettings(kind="mine", runtime="apptainer")
    assert settings.for_image(Image("app:1", environment={"A": "1"})).runtime.environment == {"A": "1"}
    assert settings.runtime == ApptainerRuntime()


def test_runtime_of_a_site_is_the_first_that_its_login_node_has():
    auto = AutoRuntime(environment={"A": "1"}, home=False)
    assert auto.at(["/opt/bin/ch-run", "/usr/bin/singularity"]) == ApptainerRuntime(environment={"A": "1"}, home=False)
    assert auto.at(["/usr/bin/podman"]) == PodmanRuntime(environment={"A": "1"}, home=False)
    assert auto.at(["/usr/bin/python3"]) is auto
    assert ShifterRuntime().at(["/usr/bin/podman"]) == ShifterRuntime()
    with pytest.raises(ConfigurationError, match="choose the runtime first"):
        AutoRuntime(options=["--nv"])


@pytest.mark.parametrize("runtime", [*ALL, SingularityRuntime, AutoRuntime])
def test_value_of_a_variable_is_on_no_command_line(runtime):
    made = runtime(environment={"OWN": "S3CRET"}).wrap(COMMAND, image_for(runtime))
    assert made.argv[:2] == ("/bin/sh", "-c")
    assert "value $x" not in made.argv[2]
    assert "S3CRET" not in made.argv[2]
    assert made.environment == {"OWN": "S3CRET", "NAME": "value $x"}
    assert made.files == COMMAND.files
    assert "'run me'" in made.argv[2]


@pytest.mark.parametrize("runtime", ALL)
def test_image_in_another_form_is_refused(runtime):
    wrong = next(form for form in ImageForm if form not in runtime.forms)
    with pytest.raises(ConfigurationError, match="cannot run an image in the form"):
        runtime().wrap(COMMAND, SiteImage("app:1", wrong, "/x"))


def test_command_on_the_bare_node_stays_as_it_is():
    assert NoRuntime().wrap(COMMAND, SiteImage()) is COMMAND


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (ApptainerRuntime(mounts={"/a,b": "/c"}), "comma or a colon"),
        (PodmanRuntime(mounts={"/a,b": "/c"}), "comma"),
        (ShifterRuntime(mounts={"/a": "/etc/x"}), "mounts nothing in"),
        (ShifterRuntime(secrets_folder=True), "deliver them as variables"),
        (CharliecloudRuntime(entrypoint="keep"), "write it as a list"),
        (PodmanRuntime(network="none"), "no way to be reached"),
        (ApptainerRuntime(environment={"A B": ""}), "no name of a variable"),
        (ApptainerRuntime(passed_variables=["A;rm"]), "no name of a variable"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused_before_anything_is_sent(runtime, words):
    with pytest.raises(ConfigurationError, match=words):
        runtime.wrap(COMMAND, image_for(type(runtime)))
