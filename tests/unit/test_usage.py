import pytest

from cnflow import Config, usage_tracking
from cnflow.config import DockerProvider, HighThroughputExecutor, ThreadPoolExecutor, load_config
from cnflow.errors import ConfigurationError
from cnflow.model.task import TaskState

NOBODY = "127.0.0.1:9"


def test_usage_tracking_is_off_by_default():
    assert (Config().usage_tracking, Config().usage_address) == (0, None)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_usage_tracking_without_an_address_is_refused(level):
    with pytest.raises(
        ConfigurationError, match=f"usage_tracking={level} needs an address .* usage_address='host:port'"
    ):
        Config(usage_tracking=level)


@pytest.mark.parametrize("level", [0, 1, 2, 3, False, True])
def test_level_of_usage_tracking_is_a_number_up_to_three_or_a_bool(level):
    config = Config(usage_tracking=level, usage_address=NOBODY)
    assert config.usage_tracking == level
    assert type(config.usage_tracking) is int


@pytest.mark.parametrize("level", [4, 1000, -1, "abcd", "1", None, b"1", 1.0, 1j, object()])
def test_wrong_level_of_usage_tracking_is_refused(level):
    with pytest.raises(ConfigurationError, match="usage_tracking"):
        Config(usage_tracking=level, usage_address=NOBODY)


@pytest.mark.parametrize("address", ["", "host", "host:0", "::1:5", 5])
def test_wrong_usage_address_is_refused(address):
    with pytest.raises(ConfigurationError, match="usage_address"):
        Config(usage_address=address)


def test_configuration_file_can_turn_usage_tracking_on(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(f'usage_tracking = true\nusage_address = "{NOBODY}"\nproject_name = "p"\n')
    config = load_config(file)
    assert (config.usage_tracking, config.project_name) == (1, "p")


def test_component_adds_its_usage_information_and_users_classes_are_not_named():
    class MySecretMethod(ThreadPoolExecutor):
        def get_usage_information(self):
            return {"threads": self.max_threads}

    htex = HighThroughputExecutor(provider=DockerProvider())
    config = Config(executors=[htex, MySecretMethod(max_threads=3)])
    assert usage_tracking.components(config) == [
        "Config",
        "HighThroughputExecutor",
        "DockerProvider",
        "DialIn",
        {"c": "ThreadPoolExecutor", "threads": 3},
    ]


def test_failures_by_a_dependency_are_counted_as_failed():
    counts = {TaskState.DONE: 5, TaskState.FAILED: 2, TaskState.DEPENDENCY_FAILED: 1, TaskState.CANCELLED: 1}
    message = usage_tracking.end_message(Config(project_name="p"), "c", 100.0, 102.5, counts)
    assert (message["app_count"], message["app_fails"], message["execution_time"], message["end"]) == (9, 3, 2.5, 102)
    assert message["project_name"] == "p"
