import pytest

from cnflow import Config, usage_tracking
from cnflow.config import DockerProvider, HighThroughputExecutor, ThreadPoolExecutor, load_config
from cnflow.errors import ConfigurationError
from cnflow.model.task import TaskState

NOBODY = "127.0.0.1:9"


def test_nothing_is_told_unless_asked_for():
    assert (Config().usage_tracking, Config().usage_address) == (0, None)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_without_an_address_there_is_nobody_to_tell(level):
    with pytest.raises(
        ConfigurationError, match=f"usage_tracking={level} needs an address .* usage_address='host:port'"
    ):
        Config(usage_tracking=level)


@pytest.mark.parametrize("level", [0, 1, 2, 3, False, True])
def test_a_level_is_a_number_up_to_three_or_a_bool(level):
    config = Config(usage_tracking=level, usage_address=NOBODY)
    assert config.usage_tracking == level
    assert type(config.usage_tracking) is int


@pytest.mark.parametrize("level", [4, 1000, -1, "abcd", "1", None, b"1", 1.0, 1j, object()])
def test_what_is_no_level_is_refused(level):
    with pytest.raises(ConfigurationError, match="usage_tracking"):
        Config(usage_tracking=level, usage_address=NOBODY)


@pytest.mark.parametrize("address", ["", "host", "host:0", "::1:5", 5])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigurationError, match="usage_address"):
        Config(usage_address=address)


def test_a_file_can_ask_for_it(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(f'usage_tracking = true\nusage_address = "{NOBODY}"\nproject_name = "p"\n')
    config = load_config(file)
    assert (config.usage_tracking, config.project_name) == (1, "p")


def test_a_class_tells_more_of_itself_if_it_wants_to_and_one_of_the_users_not_its_name():
    class MySecretMethod(ThreadPoolExecutor):
        def get_usage_information(self):
            return {"threads": self.max_threads}

    htex = HighThroughputExecutor(provider=DockerProvider())
    config = Config(executors=[htex, MySecretMethod(max_threads=3)])
    assert usage_tracking.components(config) == [
        "Config",
        "HighThroughputExecutor",
        "DockerProvider",
        {"c": "ThreadPoolExecutor", "threads": 3},
    ]


def test_failed_tasks_are_those_that_failed_themselves_or_by_another():
    counts = {TaskState.DONE: 5, TaskState.FAILED: 2, TaskState.DEPENDENCY_FAILED: 1, TaskState.CANCELLED: 1}
    told = usage_tracking.end_message(Config(project_name="p"), "c", 100.0, 102.5, counts)
    assert (told["app_count"], told["app_fails"], told["execution_time"], told["end"]) == (9, 3, 2.5, 102)
    assert told["project_name"] == "p"
