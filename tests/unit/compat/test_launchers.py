"""Parsl's launchers and its provider of hosts, as scripts write them, and what they become."""

import pytest

from cnflow import launchers
from cnflow.compat.parsl import launchers as parsl_launchers
from cnflow.compat.parsl.errors import BadLauncher


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (lambda p: p.SrunLauncher(overrides="-c 272"), launchers.SrunLauncher(overrides=["-c", "272"])),
        (lambda p: p.SrunLauncher(True, "-c 4"), launchers.SrunLauncher(overrides=["-c", "4"])),
        (lambda p: p.SrunMPILauncher(debug=False), launchers.SrunMPILauncher()),
        (lambda p: p.AprunLauncher(overrides="-d 64"), launchers.AprunLauncher(overrides=["-d", "64"])),
        (lambda p: p.MpiExecLauncher(bind_cmd="--bind-to"), launchers.MpiExecLauncher()),
        (lambda p: p.MpiRunLauncher(bash_location="/usr/bin/bash"), launchers.MpiRunLauncher()),
        (lambda p: p.GnuParallelLauncher(debug=True), launchers.GnuParallelLauncher()),
        (lambda p: p.JsrunLauncher(overrides="-g 4"), launchers.JsrunLauncher(gpus="", overrides=["-g", "4"])),
        (lambda p: p.WrappedLauncher("nice -n 5"), launchers.WrappedLauncher(prepend=["nice", "-n", "5"])),
        (lambda p: p.SingleNodeLauncher(fail_on_any=True), launchers.SingleNodeLauncher()),
        (lambda p: p.SimpleLauncher(), launchers.SimpleLauncher()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, launchers.LauncherSettings) else "",
)
def test_launcher_of_parsl_starts_the_same_as_ours(made, same):
    ours = made(parsl_launchers)
    assert isinstance(ours, type(same))
    assert ours.wrap(["manager"], 2) == same.wrap(["manager"], 2)


def test_local_provider_of_parsl_takes_nodes_and_launchers():
    from cnflow.compat.parsl.providers import LocalProvider

    provider = LocalProvider(2, parsl_launchers.SrunLauncher(), init_blocks=4)
    assert (provider.nodes_per_block, provider.max_blocks, provider.managers_per_block()) == (2, 4, 2)
    assert LocalProvider(launcher=lambda command, *_: f"nice {command}").launcher("run", 1, 1) == "nice run"
    with pytest.raises(BadLauncher):
        LocalProvider(launcher=7)


def test_hosts_of_parsl_have_a_block_each_from_the_start():
    from cnflow.channels import LocalChannel
    from cnflow.compat.parsl.ad_hoc import AdHocProvider

    provider = AdHocProvider(channels=[LocalChannel(), "n1"], worker_init="true", move_files=None)
    assert (provider.init_blocks, provider.min_blocks, provider.max_blocks) == (2, 2, 2)
    assert provider.hosts[1].host == "n1"
    assert provider.label == "ad_hoc"
    with pytest.raises(BadLauncher):
        AdHocProvider(channels=["n1"], launcher=7)
