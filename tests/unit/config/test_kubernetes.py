"""Settings of the provider for Kubernetes: what is accepted, and in which words the rest is refused."""

import pytest

from cnflow.config import DialIn, HighThroughputExecutor, KubernetesProvider
from cnflow.config.interchange_place import interchange_site
from cnflow.config.kubernetes_quantities import cpu_quantity, cpus_of, memory_quantity
from cnflow.errors import ConfigurationError
from cnflow.model.image import Image
from cnflow.model.traits import NodesVia


@pytest.mark.parametrize(
    ("given", "cpus", "quantity"),
    [
        (2, 2.0, "2"),
        (0.5, 0.5, "500m"),
        ("500m", 0.5, "500m"),
        ("2", 2.0, "2"),
        ("1.5", 1.5, "1500m"),
        (0.1, 0.1, "100m"),
    ],
)
def test_cpus_as_kubernetes_writes_them(given, cpus, quantity):
    assert cpus_of(given) == cpus
    assert cpu_quantity(given) == quantity


@pytest.mark.parametrize(
    ("given", "quantity"),
    [("500Mi", "500Mi"), ("4g", "4Gi"), ("4GB", "3906250Ki"), (2**30, "1Gi"), ("1.5Gi", "1536Mi"), (1000, "1000")],
)
def test_memory_as_kubernetes_writes_it(given, quantity):
    assert memory_quantity(given) == quantity


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_mem": "500M"}, "init_mem: '500M' counts by 1000 in Kubernetes and by 1024 elsewhere; write '500Mi' "),
        ({"max_mem": "4k"}, "write '4Ki' for powers of 1024, or '4kB' for powers of 1000"),
        ({"max_mem": "much"}, "max_mem: must be a number of bytes above 0 or a text such as '4GB'"),
        (
            {"init_cpu": "2 cores"},
            "must be a number of CPUs above 0, such as 0.5, 2 or '500m', not '2 cores'",
        ),
        ({"init_cpu": 0}, "init_cpu: must be a number of CPUs above 0"),
        ({"init_cpu": 4, "max_cpu": 2}, "init_cpu=4.0 is more than max_cpu=2.0"),
        ({"init_mem": "4Gi", "max_mem": "2Gi"}, "init_mem='4Gi' is more than max_mem='2Gi'"),
        ({"namespace": "My Team"}, "namespace: 'My Team' is no name of a namespace: lower-case letters"),
        ({"volumes": ["pvv:data:/data"]}, "'pvv' is no kind of a volume. Did you mean 'pvc'?"),
        ({"volumes": ["pvc:data"]}, "'pvc:data' names no absolute path in the container; write 'pvc:SOURCE:TARGET'"),
        ({"volumes": ["pvc:Data_1:/data"]}, "pvc: source='Data_1' is no name of an object in Kubernetes"),
        ({"volumes": ["host_path:data:/data"]}, "source='data' must be an absolute path on the node"),
        ({"volumes": [{"kind": "pvc", "sorce": "a"}]}, "PodVolume has no option 'sorce'. Did you mean 'source'?"),
        ({"volumes": [{"kind": "pvc", "source": "a", "target": "/a", "size": 1}]}, "only an empty_dir has size"),
        ({"volumes": ["pvc:a:/x", "empty_dir:/x/"]}, "two volumes have the target '/x'"),
        ({"volumes": ["pvc:a:/.cnflow/x"]}, "'/.cnflow/x' is the place of cnflow's own files"),
        ({"environment_from": ["hf"]}, "'hf' names no source of variables; write 'secret:NAME' or 'config_map:NAME'"),
        ({"secret_environment": {"T": "hf"}}, "T='hf': write the Secret and its key as 'SECRET/KEY'"),
        ({"tolerations": ["gpu:NoShedule"]}, "'NoShedule' is no effect of a taint. Did you mean 'NoSchedule'?"),
        ({"tolerations": ["a b"]}, "'a b' is no toleration; write 'KEY=VALUE:EFFECT'"),
        ({"sidecars": [{"name": "cnflow", "image": "x"}]}, "needs a name, which is not 'cnflow', and an image"),
        ({"patch": {"kind": "Deployment"}}, "kind 'Deployment' is none of Pod, Job, Secret"),
        ({"patch": {"kind": "job"}}, "Did you mean 'Job'?"),
        ({"workload": "pod", "nodes_per_block": 2}, "workload='pod' makes a block of one pod"),
        ({"workload": "pod", "active_deadline": 9}, "active_deadline is an option of Jobs"),
        ({"init_cpus": 1}, "KubernetesProvider has no option 'init_cpus'. Did you mean 'init_cpu'?"),
    ],
)
def test_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ConfigurationError) as caught:
        KubernetesProvider(**options)
    assert words in str(caught.value)


def test_request_follows_a_lower_limit_unless_it_was_set():
    assert KubernetesProvider(max_cpu="100m").init_cpu == "100m"
    assert KubernetesProvider(max_mem="64Mi").init_mem == "64Mi"


def test_cores_of_a_node_are_the_limit_else_the_request():
    assert KubernetesProvider(init_cpu="250m").traits().cores == 0.25
    assert KubernetesProvider(max_cpu=4).traits().cores == 4.0
    assert KubernetesProvider(init_cpu=None).traits().cores is None
    assert KubernetesProvider().for_image(Image("a", cpus=2)).traits().cores == 2.0
    assert KubernetesProvider().traits().nodes is NodesVia.PODS


def test_toleration_is_written_as_kubectl_writes_a_taint():
    settings = KubernetesProvider(tolerations=["a=b:NoExecute", "c:NoSchedule", "d", "e=f"])
    assert settings.tolerations == [
        {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"},
        {"key": "c", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "d", "operator": "Exists"},
        {"key": "e", "operator": "Equal", "value": "f"},
    ]


def test_executor_without_image_has_that_of_its_provider():
    provider = KubernetesProvider(image="app:1")
    assert str(HighThroughputExecutor(provider=provider).image) == "app:1"
    assert str(HighThroughputExecutor(provider=provider, image="other:1").image) == "other:1"


def test_option_of_an_image_wins_over_that_of_the_provider():
    provider = KubernetesProvider(max_mem="1Gi", environment={"A": "1", "B": "2"})
    own = provider.for_image(Image("app:1", memory="2Gi", environment={"B": "3"}))
    assert own.max_mem == 2 * 2**30
    assert own.environment == {"A": "1", "B": "3"}
    assert provider.for_image(Image("app:1")) is provider


def test_volumes_that_outlive_pods_are_where_files_may_lie():
    settings = KubernetesProvider(volumes=["pvc:data:/data", "empty_dir:/scratch", "host_path:/srv:/srv"])
    visible = settings.visible_files(("/home/ann",))
    assert visible.own == ()
    assert visible.others == ("/data", "/srv")
    assert "volumes=['pvc:CLAIM:/data']" in visible.advice


def test_interchange_is_beside_a_driver_whose_address_is_given(tmp_path):
    provider = KubernetesProvider(kubeconfig=str(tmp_path / "config"))
    assert interchange_site(HighThroughputExecutor(provider=provider)) is not None
    assert interchange_site(HighThroughputExecutor(provider=provider, address="10.0.0.1")) is None
    assert interchange_site(HighThroughputExecutor(provider=provider, way=DialIn(addresses=["10.0.0.1"]))) is None
    with pytest.raises(ConfigurationError, match="address= and way= lead to this machine, and interchange="):
        HighThroughputExecutor(provider=provider, address="10.0.0.1", interchange="site")
