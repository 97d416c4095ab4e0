"""Checks of `cnflow doctor` on a machine with broken packages of others."""

import importlib

import pytest

from cnflow.cli import checks
from cnflow.cli.request_preview import preview_requests
from cnflow.config import Config
from cnflow.model.finding import Finding, Verdict

PIGEONS = """
    from typing import ClassVar, Literal
    from cnflow.config import ProviderSettings
    from cnflow.model.finding import Finding, Verdict

    closed = []

    class Live:
        def __init__(self, settings):
            {init}

        def check(self):
            {check}

        def preview(self, request):
            {check}

        def close(self):
            closed.append(self)

    class Pigeons(ProviderSettings):
        backend: ClassVar = {backend}
        kind: Literal["pigeons"] = "pigeons"
"""


@pytest.fixture
def install_pigeons(install):
    """Function that installs a provider of the kind ``pigeons``, with one part of its code replaced."""

    def make(top="", init="pass", check="return []", backend="Live"):
        source = PIGEONS.format(init=init, check=check, backend=backend)
        install("coop", {"cnflow.providers": "pigeons = coop:Pigeons"}, f"\n    {top}\n{source}")

    return make


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"top": "import no_such_module"}, "cannot be imported: ModuleNotFoundError"),
        ({"top": "raise SystemExit(3)"}, "cannot be imported: SystemExit: 3"),
        ({"backend": "'bad_pigeons:Live'"}, "No module named 'bad_pigeons'"),
        ({"backend": "'coop:Dead'"}, "implemented by 'coop:Dead', which does not exist"),
        ({"init": "raise OSError('no loft')"}, "The check raises OSError: no loft"),
        ({"init": "raise SystemExit(3)"}, "The check raises SystemExit: 3"),
        ({"check": "return 1 / 0"}, "The check raises ZeroDivisionError: division by zero"),
        ({"check": "return None"}, "The check raises TypeError"),
    ],
)
def test_broken_provider_of_another_package_is_a_finding_that_names_the_package(install_pigeons, broken, reason):
    install_pigeons(**broken)
    (finding,) = checks.findings_of("pigeons")
    assert finding.about == "provider pigeons"
    assert reason in finding.found
    assert "coop 2.0" in finding.found + finding.advice
    assert finding.verdict is Verdict.ABSENT


def test_broken_provider_of_another_package_hides_no_other_finding(install_pigeons, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # no engine, on every machine that runs the test
    before = checks.examine()
    install_pigeons(init="raise OSError('no loft')")
    after = checks.examine()
    assert [f.about for f in after if f.about != "provider pigeons"] == [f.about for f in before]
    assert checks.local_runs_work(after) is checks.local_runs_work(before) is True


def test_verdict_of_another_package_decides_nothing_about_local_runs(install_pigeons):
    install_pigeons(check="return [Finding('loft', Verdict.BAD, 'empty', 'Buy pigeons.')]")
    assert checks.findings_of("pigeons") == [Finding("loft", Verdict.ABSENT, "empty", "Buy pigeons.")]


def test_verdict_of_the_local_provider_decides_about_local_runs(monkeypatch):
    monkeypatch.setattr(checks, "backend_of", lambda *_, **__: 1 / 0)
    findings = checks.findings_of("local")
    assert findings == [Finding("provider local", Verdict.BAD, "The check raises ZeroDivisionError: division by zero")]
    assert not checks.local_runs_work(findings)


def test_kind_that_a_built_in_one_hides_is_a_finding(install):
    install("coop", {"cnflow.providers": "docker = coop:A", "cnflow.executors": "threads = coop:B"}, "")
    provider, executor = checks.clash_findings()
    assert (provider.about, executor.about) == ("provider kinds", "executor kinds")
    assert "registered by coop 2.0 as 'coop:A' and cannot be used: the kind 'docker' is built" in provider.found
    assert "registered by coop 2.0 as 'coop:B' and cannot be used: the kind 'threads' is built" in executor.found


@pytest.mark.parametrize("check", ["return {'loft': 1}", "raise OSError"])
def test_provider_is_closed_after_a_check_and_after_a_preview(install_pigeons, check):
    install_pigeons(check=check)
    config = Config(executors=[{"kind": "high_throughput", "provider": {"kind": "pigeons"}}])
    closed = importlib.import_module("coop").closed
    checks.findings_of("pigeons")
    assert len(closed) == 1
    try:
        assert preview_requests(config) == {"htex": {"loft": 1}}
    except OSError:
        assert "raise" in check
    assert len(closed) == 2


def test_provider_that_is_nothing_without_options_has_no_finding(monkeypatch):
    monkeypatch.setattr(checks, "findings_of", lambda kind: [kind])
    kinds = set(checks.provider_findings())
    assert {"local", "docker", "kubernetes"} <= kinds
    assert not kinds & {"ad_hoc", "existing_pool"}
