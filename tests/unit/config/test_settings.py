import ast
import inspect
import itertools
import pickle
import textwrap
from typing import Literal

import pytest
from pydantic import Field

from cnflow.config import (
    Config,
    DockerProvider,
    ExecutorSettings,
    HighThroughputExecutor,
    LocalProvider,
    ProviderSettings,
    Settings,
    ThreadPoolExecutor,
)
from cnflow.errors import ConfigurationError, UnknownNameError

ALL = [Config, ThreadPoolExecutor, HighThroughputExecutor, LocalProvider, DockerProvider]
FULL = Config(
    executors=[
        HighThroughputExecutor(label="digits", image="digits-train:0.1", provider=DockerProvider(cpus=2, gpus=["0"])),
        HighThroughputExecutor(provider=LocalProvider(init_blocks=2), worker_port_range=(9000, 9010)),
        ThreadPoolExecutor(max_threads=4),
    ],
    retries=2,
)


@pytest.mark.parametrize("settings", ALL, ids=lambda cls: cls.__name__)
def test_all_settings_have_defaults_that_are_valid(settings):
    made = settings()
    assert settings.model_validate(made.model_dump()) == made


@pytest.mark.parametrize("settings", [*ALL, ProviderSettings, ExecutorSettings], ids=lambda cls: cls.__name__)
def test_every_option_is_documented_in_its_class_or_in_a_base(settings):
    told = {name for base in settings.__mro__ if issubclass(base, Settings) for name in documented_in(base)}
    assert {name for name in settings.model_fields if name != "kind"} - told == set()


def documented_in(cls):
    """Names of the annotated attributes that a string follows. Pydantic would look, too, at 10 ms a class."""
    (body,) = (node.body for node in ast.parse(textwrap.dedent(inspect.getsource(cls))).body)
    return [
        first.target.id
        for first, second in itertools.pairwise(body)
        if isinstance(first, ast.AnnAssign) and isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
    ]


def test_default_config_runs_tasks_in_threads():
    assert Config().executors == [ThreadPoolExecutor()]


def test_default_provider_is_this_machine():
    assert HighThroughputExecutor().provider == LocalProvider()


def test_config_survives_a_dump_to_plain_values_and_back():
    assert Config(**FULL.model_dump(mode="json")) == FULL


def test_config_survives_pickling():
    assert pickle.loads(pickle.dumps(FULL)) == FULL


def test_copy_shares_nothing_with_its_original():
    copy = FULL.model_copy(deep=True)
    copy.executors[0].provider.cpus = 7
    assert FULL.executors[0].provider.cpus == 2


class FreeLabel(HighThroughputExecutor):
    """Settings of another package, whose labels may have any character."""

    kind: Literal["free"] = "free"
    label: str = "free"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Config(retires=1), "Config has no option 'retires'. Did you mean 'retries'? Known: "),
        (lambda: DockerProvider(mem="4g"), "DockerProvider has no option 'mem'."),
        (lambda: ThreadPoolExecutor(max_thread=2), "Did you mean 'max_threads'?"),
        (lambda: Config(retries=-1), "Config: retries: Input should be greater than or equal to 0, not -1"),
        (lambda: Config(executors=[]), "Config: executors: "),
        (lambda: Config(executors=[ThreadPoolExecutor()] * 2), "two executors are labelled 'threads'"),
        (
            lambda: Config(executors=[FreeLabel(label="a/b"), FreeLabel(label="a-b")]),
            "two executors are labelled 'a/b' and 'a-b', and names of blocks hold both as 'a-b'",
        ),
        (
            lambda: HighThroughputExecutor(provider=LocalProvider(walltime=1)),
            "walltime=1 of the provider leaves no time for a task",
        ),
        (lambda: HighThroughputExecutor(heartbeat_period=9, heartbeat_threshold=9), "must be at least twice"),
        (lambda: HighThroughputExecutor(worker_port_range=(0, 70000)), "worker_port_range"),
        (lambda: LocalProvider(init_blocks=3, max_blocks=2), "init_blocks=3 may not be more than max_blocks=2"),
        (lambda: LocalProvider(parallelism=1.5), "parallelism"),
        (lambda: DockerProvider(pull="sometimes"), "pull"),
        (lambda: ThreadPoolExecutor(image="app1:0.1"), "image"),
    ],
)
def test_wrong_option_is_refused_with_its_reason(make, message):
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert message in str(refused.value)


def test_each_wrong_option_has_its_own_line():
    with pytest.raises(ConfigurationError) as refused:
        Config(retires=1, run_dri="x")
    assert len(str(refused.value).splitlines()) == 2


def test_assignment_is_checked_like_a_call():
    config = Config()
    with pytest.raises(ConfigurationError, match="retries"):
        config.retries = "many"
    with pytest.raises(ConfigurationError, match="Did you mean 'retries'"):
        config.retires = 3
    assert config == Config()
    config.retries = 3
    assert config.retries == 3


def test_initial_blocks_raise_the_default_of_max_blocks():
    assert LocalProvider(init_blocks=3).max_blocks == 3
    assert LocalProvider(min_blocks=2).max_blocks == 2
    assert LocalProvider(init_blocks=0).max_blocks == 1
    assert LocalProvider(warm_blocks=2).max_blocks == 3


def test_more_warm_blocks_than_may_run_are_refused():
    with pytest.raises(ConfigurationError, match="warm_blocks=2 may not be more than max_blocks=1"):
        LocalProvider(warm_blocks=2, max_blocks=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"executors": [{"kind": "thread"}]}, "executors[0]: No executor is called 'thread'. Did you mean 'threads'?"),
        (
            {"executors": [{"kind": "high_throughput", "provider": {"kind": "dokcer"}}]},
            "executors[0]: No provider is called 'dokcer'. Did you mean 'docker'?",
        ),
    ],
)
def test_unknown_kind_is_refused_with_the_nearest(values, message):
    with pytest.raises(UnknownNameError) as refused:
        Config(**values)
    assert str(refused.value).startswith(message)


def test_table_becomes_the_settings_of_its_kind():
    config = Config(executors=[{"kind": "high_throughput", "provider": {"kind": "docker", "cpus": 2}}])
    assert config == Config(executors=[HighThroughputExecutor(provider=DockerProvider(cpus=2))])


def test_provider_of_the_users_own_can_be_passed_as_an_object():
    class Pigeons(ProviderSettings):
        kind: str = "pigeons"
        loft: str = Field(default="roof")

    config = Config(executors=[HighThroughputExecutor(provider=Pigeons(loft="barn"))])
    assert config.model_dump()["executors"][0]["provider"]["loft"] == "barn"


def test_settings_print_as_they_are_written():
    printed = repr(ThreadPoolExecutor(label="a"))
    assert printed.startswith("ThreadPoolExecutor(kind='threads', label='a', image=Image(), storage_access=")


def test_settings_of_two_kinds_are_never_equal():
    class A(Settings):
        kind: str = "x"

    class B(Settings):
        kind: str = "x"

    assert A() != B()


@pytest.mark.parametrize(
    ("given", "seconds"), [("01:00:30", 3630), ("10:00", 600), ("90", 90), (1.5, 1.5), (None, None)]
)
def test_walltime_is_seconds_or_has_colons(given, seconds):
    assert LocalProvider(walltime=given).walltime == seconds


@pytest.mark.parametrize("given", ["tomorrow", "1:2:3:4", "0", -5, "1:5"])
def test_wrong_walltime_is_refused(given):
    with pytest.raises(ConfigurationError, match="walltime"):
        LocalProvider(walltime=given)


def test_fresh_executor_with_several_workers_in_a_block_is_refused():
    with pytest.raises(ConfigurationError, match=r"a block one worker, not max_workers=4; the provider's max_blocks"):
        HighThroughputExecutor(fresh=True, max_workers=4)
    assert HighThroughputExecutor(fresh=True, max_workers=1).fresh


def test_template_of_several_workers_makes_fresh_executors():
    template = HighThroughputExecutor(provider=DockerProvider(), max_workers=4)
    assert template.for_fresh_tasks().copied().fresh
