from cnflow import Config
from cnflow.config import HighThroughputExecutor, LocalProvider


class Counter:
    """Handles retries, and keeps a number that its owner reads afterwards."""

    def __init__(self):
        self.calls = 0

    def __call__(self, error, task):
        self.calls += 1
        return 1


def test_copy_is_equal_and_independent():
    config = Config(executors=[HighThroughputExecutor(provider=LocalProvider(environment={"A": "1"}))])
    copy = config.copied()
    assert copy == config
    copy.executors[0].provider.environment["A"] = "2"
    copy.executors[0].label = "other"
    copy.executors.pop()
    assert config.executors[0].label == "htex"
    assert config.executors[0].provider.environment == {"A": "1"}


def test_objects_of_the_users_classes_are_shared_by_copies():
    handler = Counter()
    assert Config(retry_handler=handler).copied().retry_handler is handler


def test_copy_knows_which_options_were_set():
    assert Config(retries=1).copied().model_fields_set == {"retries"}
    assert Config().copied().model_fields_set == set()
