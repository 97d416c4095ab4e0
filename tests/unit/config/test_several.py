"""provider=[...] of an executor: what the list becomes, and what it is written as."""

import pytest

from cnflow.config import (
    Config,
    DockerProvider,
    HighThroughputExecutor,
    KubernetesProvider,
    LocalProvider,
    SlurmProvider,
    load_config,
)
from cnflow.config.channels import SSHChannel
from cnflow.config.dump import plain, to_toml
from cnflow.config.several import SeveralProviders, members_of
from cnflow.errors import ConfigurationError
from cnflow.model.image import NO_IMAGE, Image


def executor(*providers, **options):
    return HighThroughputExecutor(provider=list(providers), **options)


def test_blocks_of_several_providers_are_those_of_all():
    several = executor(LocalProvider(max_blocks=2), LocalProvider(init_blocks=0, max_blocks=5, walltime=60)).provider
    assert (several.init_blocks, several.max_blocks, several.walltime) == (1, 7, 60)
    assert list(members_of(several)) == ["local", "local-2"]


def test_list_of_one_is_that_one():
    assert isinstance(executor(LocalProvider()).provider, LocalProvider)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (executor, "is an empty list"),
        (lambda: HighThroughputExecutor(provider=[LocalProvider(), "slurm"]), "not the name 'slurm'"),
        (lambda: HighThroughputExecutor(provider=[LocalProvider(), 3]), "must be a list of providers"),
        (lambda: executor(LocalProvider(), LocalProvider(), hedge=3), "hedge=3 asks for blocks on as many providers"),
        (lambda: executor(LocalProvider(), spill_after=5), "spill_after is for several providers"),
        (lambda: executor(LocalProvider(), DockerProvider(), image="python:3.12"), "cannot run on LocalProvider"),
        (lambda: executor(LocalProvider(), LocalProvider(walltime=1)), "leaves no time for a task"),
        (lambda: executor({"kind": "local", "max_block": 3}, LocalProvider()), "has no option 'max_block'"),
    ],
)
def test_mistake_in_the_list_is_reported(write, words):
    with pytest.raises(ConfigurationError, match=words):
        write()


def test_interchange_at_a_site_that_other_blocks_may_not_reach_is_refused():
    far = SlurmProvider(channel=SSHChannel(host="login"), site_dir="/scratch/x")
    with pytest.raises(ConfigurationError, match=r"SlurmProvider .* which blocks of LocalProvider may not reach"):
        executor(LocalProvider(), far)
    assert executor(LocalProvider(), far, interchange="driver", address="10.0.0.1").provider.site() == far.site()


def test_file_writes_each_provider_as_a_table_and_reads_it_back(tmp_path):
    config = Config(executors=[executor(LocalProvider(max_blocks=2), DockerProvider(cpus=1), hedge=2)])
    text = to_toml(config)
    assert text.count("[[executors.provider]]") == 2
    (tmp_path / "cnflow.toml").write_text(text)
    assert load_config(tmp_path / "cnflow.toml").executors[0].provider == config.executors[0].provider


def test_ledger_holds_options_by_which_another_process_makes_the_providers():
    several = executor(LocalProvider(max_blocks=2), DockerProvider(cpus=1)).provider
    options = plain(several)
    assert options.pop("kind") == "several"
    assert SeveralProviders(**options) == several


def test_tasks_with_an_image_run_where_images_do():
    mixed = executor(LocalProvider(), DockerProvider(), KubernetesProvider(), interchange="driver").provider
    assert mixed.traits().runs_images
    assert list(members_of(mixed.for_image(Image("python:3.12")))) == ["docker", "kubernetes"]
    assert list(members_of(mixed.for_image(NO_IMAGE))) == ["local"]


def test_executor_of_containers_alone_is_a_template():
    assert executor(DockerProvider(), KubernetesProvider(), interchange="driver").needs_image
    assert not executor(LocalProvider(), DockerProvider()).needs_image


def test_fresh_tasks_have_blocks_of_each_provider():
    fresh = executor(LocalProvider(max_blocks=2), LocalProvider(max_blocks=3)).for_fresh_tasks()
    assert [(each.init_blocks, each.warm_blocks, each.max_blocks) for each in fresh.provider.providers] == [
        (0, 1, 3),
        (0, 1, 4),
    ]


def test_without_images_every_provider_runs_processes_here():
    bare = executor(DockerProvider(max_blocks=2), LocalProvider()).without_images()
    assert [type(each) for each in bare.provider.providers] == [LocalProvider, LocalProvider]


def test_files_are_visible_where_all_providers_show_them():
    mixed = executor(DockerProvider(mount_folders=True), DockerProvider(mount_folders=False), image="x").provider
    assert mixed.visible_files(("/work",)).own == ()
    assert executor(LocalProvider(), LocalProvider()).provider.visible_files(("/work",)) is None


def test_copy_of_the_settings_has_providers_of_its_own():
    original = executor(LocalProvider(), LocalProvider())
    copy = original.copied()
    copy.provider.providers[0].max_blocks = 9
    assert original.provider.providers[0].max_blocks == 1
