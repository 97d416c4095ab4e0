import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow.errors import ConfigurationError, NotCoveredError


def parsl():
    import parsl

    return parsl


def executor(**given):
    from parsl.executors import HighThroughputExecutor

    return HighThroughputExecutor(**given)


@pytest.mark.parametrize("name", ["max_workers", "max_workers_per_node"])
def test_number_of_workers_has_its_old_and_its_new_name(name):
    made = executor(**{name: 3})
    assert made.max_workers == made.max_workers_per_node == 3


def test_infinite_workers_are_as_many_as_fit():
    assert executor(max_workers=float("inf")).max_workers is None


def test_worker_port_and_worker_ports_set_the_port_range():
    assert executor(worker_port=50000).worker_port_range == (50000, 50000)
    assert executor(worker_ports=(50000, 50001)).worker_port_range == (50000, 50000)


def test_parameters_without_effect_are_accepted():
    made = executor(label="a", poll_period=100, worker_debug=True, suppress_failure=False, loopback_address="::1")
    assert made.label == "a"


def test_accelerators_and_affinity_have_parsls_values():
    made = executor(available_accelerators=("0", "1"), cpu_affinity="alternating")
    assert (made.available_accelerators, made.cpu_affinity) == (["0", "1"], "alternating")
    assert executor(available_accelerators=2).available_accelerators == 2
    assert executor(available_accelerators=()).available_accelerators == []


def test_drain_period_has_parsls_values():
    assert executor(drain_period=5).drain_period == 5
    assert executor(drain_period=None).drain_period is None


@pytest.mark.parametrize("given", [{"launch_cmd": "x"}, {"block_error_handler": print}])
def test_error_names_a_parameter_that_would_change_results(given):
    with pytest.raises(NotCoveredError, match=f"HighThroughputExecutor.{next(iter(given))}="):
        executor(**given)


def test_config_of_parsl_0_9_is_accepted():
    from parsl.channels import LocalChannel
    from parsl.launchers import SingleNodeLauncher
    from parsl.providers import LocalProvider

    config = parsl().Config(
        executors=[
            executor(provider=LocalProvider(channel=LocalChannel(), launcher=SingleNodeLauncher(), walltime="1"))
        ],
        app_cache=True,
        checkpoint_mode="task_exit",
        data_management_max_threads=3,
        lazy_errors=True,
        strategy=None,
    )
    assert config.internal_tasks_max_threads == 3
    assert config.checkpoint_mode == "task_exit"
    config.retries = 2
    assert config.retries == 2


def test_config_of_todays_parsl_is_accepted():
    from parsl.dataflow.memoization import BasicMemoizer

    memoizer = BasicMemoizer(checkpoint_mode="dfk_exit", checkpoint_files=("a",), memoize=False)
    config = parsl().Config(memoizer=memoizer, exit_mode="wait", strategy="simple", max_idletime=10)
    assert (config.checkpoint_mode, config.checkpoint_files, config.app_cache) == ("dfk_exit", ["a"], False)
    assert [made.label for made in config.executors] == ["threads"]


def test_executors_may_be_positional_and_any_iterable():
    config = parsl().Config(made for made in [parsl().ThreadPoolExecutor("mine", 5)])
    assert (config.executors[0].label, config.executors[0].max_threads) == ("mine", 5)


def test_eager_errors_are_refused():
    with pytest.raises(NotCoveredError, match="lazy_errors=False"):
        parsl().Config(lazy_errors=False)


def test_wrong_type_is_a_type_error():
    with pytest.raises(TypeError, match="retries"):
        parsl().Config(retries="many")
    with pytest.raises(TypeError, match="at most 1 parameters by position"):
        parsl().Config([], 2)


def test_attributes_are_set_by_parsls_names():
    made = executor()
    made.max_workers_per_node = 3
    made.poll_period = 1
    assert (made.max_workers, made.max_workers_per_node) == (3, 3)
    with pytest.raises(NotCoveredError, match="launch_cmd="):
        made.launch_cmd = "x"
    with pytest.raises(ConfigurationError, match="Did you mean 'max_workers'"):
        made.max_worker = 2


def test_error_offers_the_nearest_parameter():
    with pytest.raises(ConfigurationError, match="Did you mean 'max_workers'"):
        executor(max_worker=2)


def test_ipyparallel_executor_with_an_image_uses_docker():
    from parsl.executors.ipp import IPyParallelExecutor

    made = IPyParallelExecutor(container_image="app1_v0.1", workers_per_node=2)
    assert (made.image, made.provider.kind, made.max_workers) == ("app1_v0.1", "docker", 2)
    assert IPyParallelExecutor().provider.kind == "local"


def test_app_decorator_of_parsl_0_9_takes_a_type():
    from parsl import App
    from parsl.app.errors import InvalidAppTypeError

    assert repr(App("python")(len)) == "<python_app len>"
    with pytest.raises(InvalidAppTypeError, match="perl"):
        App("perl")


def test_usage_tracking_needs_no_address():
    assert parsl().Config(usage_tracking=3).usage_tracking == 3
