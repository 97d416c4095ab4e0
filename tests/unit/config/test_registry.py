import subprocess
import sys
import textwrap

import pytest

from cnflow.config import Config, DockerProvider, HighThroughputExecutor, ProviderSettings, ThreadPoolExecutor
from cnflow.config.dump import to_json
from cnflow.config.registry import ALL, EXECUTORS, PROVIDERS, backend_of, load
from cnflow.errors import ConfigurationError, MissingExtraError, UnknownNameError

SETTINGS = """
    from typing import ClassVar, Literal
    from cnflow.config import ProviderSettings

    class Pigeons(ProviderSettings):
        backend: ClassVar[str] = "builtins:dict"
        kind: Literal["pigeons"] = "pigeons"
        loft: str = "roof"

    class NoSettings:
        pass
"""


def test_kind_of_an_installed_package_is_found(install):
    install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, SETTINGS)
    config = Config(executors=[{"kind": "high_throughput", "provider": {"kind": "pigeons", "loft": "barn"}}])
    assert config.executors[0].provider.loft == "barn"
    assert backend_of(config.executors[0].provider) is dict
    assert "pigeons" in PROVIDERS.kinds()
    assert '"kind": "pigeons"' in to_json(config)


def test_misspelt_kind_is_answered_with_that_of_an_installed_package(install):
    install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, SETTINGS)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'pigeons'\? Known: .*local.*, pigeons, "):
        PROVIDERS.parse({"kind": "pidgeons"})


def test_option_of_an_installed_package_is_checked_like_any(install):
    install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, SETTINGS)
    with pytest.raises(ConfigurationError, match=r"Pigeons has no option 'lofft'\. Did you mean 'loft'"):
        PROVIDERS.parse({"kind": "pigeons", "lofft": "barn"})


@pytest.mark.parametrize(
    ("source", "point", "reason"),
    [
        ("import no_such_module", "pigeons = coop:Pigeons", "cannot be imported: ModuleNotFoundError: No module named"),
        ("1 / 0", "pigeons = coop:Pigeons", "cannot be imported: ZeroDivisionError: division by zero"),
        (SETTINGS, "pigeons = coop:Doves", "cannot be imported: AttributeError: .*Doves"),
        (SETTINGS, "pigeons = coop:NoSettings", r"no subclass of cnflow\.config\.providers\.ProviderSettings"),
        (SETTINGS, "pigeons = coop:SETTINGS_OF_ALL", "cannot be imported: AttributeError"),
        (SETTINGS, "pigeons = builtins:repr", r"no subclass of cnflow\.config\.providers\.ProviderSettings"),
        (SETTINGS, "doves = coop:Pigeons", "the class has the kind 'pigeons', and the entry point another name"),
        (
            SETTINGS.replace(' = "pigeons"', ""),
            "pigeons = coop:Pigeons",
            "the class has no default kind; its author must",
        ),
        ("raise SystemExit(3)", "pigeons = coop:Pigeons", "cannot be imported: SystemExit: 3"),
    ],
)
def test_broken_entry_point_names_its_package_and_what_to_do(install, source, point, reason):
    install("coop", {"cnflow.providers": point}, source)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        PROVIDERS.parse({"kind": point.split()[0]})
    assert "registered by coop 2.0" in str(caught.value)
    assert "pip install --upgrade coop, or pip uninstall coop" in str(caught.value)


def test_kind_of_two_packages_is_refused_with_both(install):
    install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, SETTINGS)
    install("loft", {"cnflow.providers": "pigeons = loft:Pigeons"}, SETTINGS)
    with pytest.raises(ConfigurationError, match=r"(coop 2\.0 and by loft|loft 2\.0 and by coop) 2\.0 .*only one"):
        PROVIDERS.find("pigeons")


def test_broken_package_does_not_hinder_the_kinds_of_others(install):
    install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, SETTINGS)
    install("cage", {"cnflow.providers": "doves = cage:Doves"}, "1 / 0")
    assert PROVIDERS.find("pigeons").__name__ == "Pigeons"


def test_package_with_a_built_in_kind_changes_neither_that_kind_nor_others(install):
    install("coop", {"cnflow.providers": "docker = coop:Pigeons\npigeons = coop:Pigeons"}, SETTINGS)
    assert PROVIDERS.find("docker") is DockerProvider
    assert PROVIDERS.find("pigeons").__name__ == "Pigeons"
    with pytest.raises(UnknownNameError, match=r"Did you mean 'pigeons'\? Known: .*local.*, pigeons, "):
        PROVIDERS.find("pidgeons")
    (clash,) = PROVIDERS.clashes()
    assert str(clash) == (
        "The kind 'docker' of cnflow.providers is registered by coop 2.0 as 'coop:Pigeons' and cannot be used: the "
        "kind 'docker' is built into cnflow. Upgrade or remove what registers it: pip install --upgrade coop, or pip "
        "uninstall coop."
    )


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.group)
def test_every_seam_is_extended_by_a_group_of_its_own(install, registry):
    module, _, base = registry._base.partition(":")
    source = f"from {module} import {base}\nclass Own({base}):\n    kind: str = 'own'\n"
    install("plugin", {registry.group: "own = plugin:Own"}, source)
    assert registry.find("own").__name__ == "Own"
    assert registry.kinds() == sorted([*registry.built_in, "own"])


def test_groups_differ():
    assert len({registry.group for registry in ALL}) == len(ALL)


def test_built_in_kinds_and_imports_read_no_entry_points():
    code = """
    import importlib.metadata
    def refuse(**wanted):
        assert not wanted.get("group", "cnflow").startswith("cnflow")
        return ()
    importlib.metadata.entry_points = refuse
    import cnflow
    from cnflow.config import Config, load_config
    config = Config(executors=[{"kind": "threads"}, {"kind": "high_throughput", "provider": {"kind": "docker"}}])
    from cnflow.config.dump import to_json
    to_json(config)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


class Pigeons(ProviderSettings):
    kind: str = "pigeons"


class Racing(Pigeons):
    backend = dict


def test_object_of_the_users_own_class_works_without_registration():
    config = Config(executors=[HighThroughputExecutor(provider=Racing())])
    assert config.copied() == config
    assert backend_of(config.executors[0].provider) is dict


def test_settings_without_a_live_half_say_how_to_name_one():
    with pytest.raises(ConfigurationError, match=r"Pigeons \(kind 'pigeons'\) has no live half\. Add the class"):
        backend_of(Pigeons())


def test_live_half_that_does_not_exist_is_named():
    class Lost(Pigeons):
        backend = "cnflow.config:NoSuchClass"

    with pytest.raises(ConfigurationError, match=r"implemented by 'cnflow\.config:NoSuchClass', which does not exist"):
        backend_of(Lost())


def test_settings_that_no_package_registers_are_refused_by_a_dump():
    config = Config(executors=[ThreadPoolExecutor(), HighThroughputExecutor(provider=Racing())])
    with pytest.raises(ConfigurationError) as caught:
        to_json(config)
    assert str(caught.value) == (
        "Config.executors.1.provider is a Racing of kind 'pigeons', which needs Python: keep this configuration "
        "in a .py file, or register the class by an entry point of the group cnflow.providers."
    )


def test_table_without_a_kind_is_answered_with_the_kinds():
    with pytest.raises(ConfigurationError, match="Add one of: futures, high_throughput, mpi_pool, threads"):
        EXECUTORS.parse({"label": "a"})


def test_missing_package_of_a_live_half_names_the_extra():
    class Whales(Pigeons):
        backend = "a_package_of_nobody.at_all:Blocks"
        extra = "docker"

    with pytest.raises(MissingExtraError, match=r"Whales \(kind 'pigeons'\) needs .*pip install 'cnflow\[docker\]'"):
        backend_of(Whales())


def test_missing_module_of_ours_is_not_blamed_on_an_extra():
    with pytest.raises(
        ConfigurationError, match=r"fails: ModuleNotFoundError: No module named 'cnflow\.nowhere'"
    ) as caught:
        load("cnflow.nowhere:Blocks", "The provider 'x'", "docker")
    assert caught.type is ConfigurationError


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'coop'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_live_half_that_cannot_be_imported_is_a_configuration_error(install, source, reason):
    class Lost(Pigeons):
        backend = "coop:Blocks"

    if source:
        install("coop", {}, source)
    with pytest.raises(ConfigurationError) as caught:
        backend_of(Lost())
    assert (
        str(caught.value)
        .partition("<locals>.")[2]
        .startswith("Lost (kind 'pigeons') is implemented by 'coop:Blocks', and importing 'coop' fails: " + reason)
    )
    assert "Correct the name, such as that of the class attribute backend" in str(caught.value)
