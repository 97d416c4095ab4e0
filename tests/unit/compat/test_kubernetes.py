"""Parsl's provider for Kubernetes."""

import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable


def test_configuration_in_parsls_documentation():
    from parsl.addresses import address_by_hostname
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import KubernetesProvider

    config = Config(
        executors=[
            HighThroughputExecutor(
                label="kube-htex",
                cores_per_worker=1,
                max_workers=1,
                worker_logdir_root="YOUR_WORK_DIR",
                address=address_by_hostname(),
                provider=KubernetesProvider(
                    namespace="default",
                    image="YOUR_DOCKER_URL",
                    worker_init="",
                    secret="YOUR_KUBE_SECRET",
                    pod_name="YOUR-POD-Name",
                    nodes_per_block=1,
                    init_blocks=1,
                    max_blocks=10,
                ),
            ),
        ]
    )
    (executor,) = config.executors
    provider = executor.provider
    assert (provider.kind, provider.label, provider.namespace) == ("kubernetes", "kubernetes", "default")
    assert str(executor.image) == "YOUR_DOCKER_URL"
    assert provider.image_pull_secrets == ["YOUR_KUBE_SECRET"]
    assert provider.labels == {"app": "YOUR-POD-Name"}


def test_parameters_by_position():
    from parsl.providers.kubernetes.kube import KubernetesProvider

    provider = KubernetesProvider(
        *("app:1", "science", 2, 3, 1, 5, 4, "4Gi", 0.5, "500M", 0.5, "source env", None, "1000", "100", True, "key"),
        [("data", "/data"), ("home", "/home/ann")],
    )
    assert (str(provider.image), provider.namespace, provider.nodes_per_block) == ("app:1", "science", 2)
    assert (provider.init_blocks, provider.min_blocks, provider.max_blocks) == (3, 1, 5)
    assert (provider.max_cpu, provider.max_mem, provider.init_cpu, provider.init_mem) == (4, "4Gi", 0.5, "500MB")
    assert (provider.parallelism, provider.worker_init) == (0.5, "source env")
    assert (provider.user_id, provider.group_id, provider.is_restricted) == (1000, 100, True)
    assert provider.image_pull_secrets == ["key"]
    assert [(each.kind, each.source, each.target) for each in provider.volumes] == [
        ("pvc", "data", "/data"),
        ("pvc", "home", "/home/ann"),
    ]


def test_defaults_are_those_of_parsl():
    from parsl.providers import KubernetesProvider

    provider = KubernetesProvider("app:1")
    assert (provider.namespace, provider.init_blocks, provider.max_blocks) == ("default", 4, 10)
    assert (provider.max_cpu, provider.max_mem, provider.init_cpu, provider.init_mem) == (2, "500Mi", 1, "250Mi")
    assert KubernetesProvider("app:1", init_blocks=20).max_blocks == 20


def test_parameters_of_todays_parsl():
    from parsl.providers import KubernetesProvider

    provider = KubernetesProvider(
        "app:1",
        service_account_name="worker",
        annotations={"a": "b"},
        extra_requests={"nvidia.com/gpu": "1"},
        extra_limits={"nvidia.com/gpu": "1"},
    )
    assert (provider.service_account, provider.annotations) == ("worker", {"a": "b"})
    assert provider.extra_limits == {"nvidia.com/gpu": "1"}


def test_wrong_type_is_a_type_error_as_in_parsl():
    from parsl.providers import KubernetesProvider

    with pytest.raises(TypeError, match=r"KubernetesProvider: user_id: .* not 'ann'"):
        KubernetesProvider("app:1", user_id="ann")


def test_ready_configuration_runs_an_image_of_python():
    from parsl.configs.kubernetes import config

    assert str(config.executors[0].image) == "python:3.11-slim"
    assert config.executors[0].provider.kind == "kubernetes"
