import pytest

from benchmarks.aims import Aim, aims_of, failed
from benchmarks.report import COLUMNS, Report, load
from benchmarks.systems import DOCKER, FLOOR, HTEX, POOL, SYSTEMS
from benchmarks.table import align, figures


def report_of(**by_system):
    report = Report()
    for system, samples in by_system.items():
        for work, sample in samples.items():
            report.add({"cnflow": HTEX, "floor": FLOOR, "pool": POOL}[system], work, sample)
    return report


@pytest.mark.parametrize(
    ("at_least", "measured", "verdict"),
    [
        (True, 2.0, "met"),
        (True, 1.9, "not met"),
        (True, 0.9, "not met by half"),
        (True, None, "not measured"),
        (False, 2.0, "met"),
        (False, 2.1, "not met"),
        (False, 4.1, "not met by half"),
        (False, 0.0, "met"),
    ],
)
def test_aim_is_met_from_its_bound_on(at_least, measured, verdict):
    assert Aim("work", 2.0, at_least, measured).verdict == verdict


def test_every_aim_has_figures_in_a_complete_report():
    report = Report()
    for system in SYSTEMS:
        for column in COLUMNS:
            work, _, figure = column.key.partition(".")
            report.add(system, work, {figure: 1.0})
    report.add(HTEX, "memory", {"n": 1_000_000})
    report.add(DOCKER, "bare", {"s": 0.5})
    report.add(FLOOR, "bash", {"same_per_s": 1.0})
    assert [aim.what for aim in aims_of(report) if aim.measured is None] == []


def test_ratio_above_one_means_that_cnflow_is_better():
    report = report_of(
        cnflow={"burst": {"per_s": 300.0}, "trip": {"p50_ms": 2.0}},
        pool={"burst": {"per_s": 100.0}, "trip": {"p50_ms": 8.0}},
    )
    ratios = figures(report, {}).splitlines()[5]
    assert ratios.split() == ["3.00", "x", "4.00", "x"]


def test_best_repeat_counts():
    report = Report()
    for value in (3.0, 1.0, 2.0):
        report.add(HTEX, "burst", {"per_s": value})
        report.add(HTEX, "trip", {"p50_ms": value})
    assert report.best(HTEX, "burst.per_s") == 3.0
    assert report.best(HTEX, "trip.p50_ms") == 1.0


def test_figure_of_fewer_tasks_is_marked_and_listed():
    text = figures(
        report_of(cnflow={"burst": {"per_s": 7.0, "n": 50}}, pool={"burst": {"per_s": 8.0, "n": 100}}), {"burst": 100}
    )
    assert " 7*" in text
    assert f"{HTEX}: burst 50" in text
    assert " 8*" not in text


def test_missing_figure_is_listed_with_its_reason():
    report = report_of(cnflow={"burst": {"per_s": 7.0}})
    report.add("Ray", "first", {}, "not installed: no wheel")
    assert "Ray, first: not installed: no wheel" in figures(report, {})


def test_report_round_trips_through_its_file(tmp_path):
    report = report_of(cnflow={"burst": {"per_s": 7.0}})
    report.facts["machine"] = "2 cores"
    report.save(tmp_path / "report.json")
    assert load(tmp_path / "report.json") == report


def test_columns_are_aligned():
    assert align([["a", "b"], ["long", "1"], ["x", "100"]], 1) == ["a       b", "---------", "long    1", "x     100"]


def test_unchecked_aims_do_not_fail_continuous_integration():
    low = Aim("work", 2.0, at_least=True, measured=0.9)
    assert failed([low, low._replace(what="sh", checked=False), low._replace(what="half", measured=1.0)]) == ["work"]
