import msgspec
import pytest
from rich.console import Console

from cnflow.cli.runs.source import Overview
from cnflow.cli.runs.top_view import Rates, picture, progress_of, sparkline
from cnflow.monitoring.queries import views

OVERVIEW = Overview(
    name="digits",
    folder="runinfo/007",
    state="running",
    began=1000.0,
    ended=None,
    states={"done": 710, "failed": 3, "launched": 100, "waiting": 187},
    apps={"train": {"done": 700, "launched": 100}, "score\x1b[31m": {"done": 10, "failed": 3, "waiting": 187}},
    executors=[{"label": "htex", "image": "", "blocks": 1, "managers": 2, "workers": 64}],
    blocks=[
        {
            "executor": "htex",
            "block": "0",
            "native": "4711",
            "state": "running",
            "nodes": 2,
            "workers": 64,
            "tasks": 100,
            "age": 75.0,
            "message": "RUNNING",
        }
    ],
    errors=[
        views.ErrorGroup(
            id="a", type="ValueError", app="score", message="bad\nline", count=3, first_task=17, first=0.0, last=0.0
        )
    ],
    steps=[],
    spent="$0.08 of $5.00",
)


def text_of(overview, rates=None, height=0):
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(picture(overview, rates or Rates(), now=1125.0, height=height))
    return captured.get()


def rates_of(*counts):
    rates = Rates()
    for now, settled in counts:
        rates.add(now, settled)
    return rates


def test_picture_shows_run_states_apps_blocks_and_errors():
    text = text_of(OVERVIEW, rates_of((0.0, 689), (2.0, 713)))
    for words in (
        "run runinfo/007  digits  running  2 min 5 s  spent $0.08 of $5.00",
        "71 %  713 of 1,000 tasks  about 23 s left",
        "done 710  failed 3  launched 100  waiting 187  12.0 a second",
        "htex/0",
        "ValueError: bad line",
    ):
        assert words in text
    assert "\x1b" not in text


def test_picture_of_an_ended_run_has_its_mean_rate():
    ended = msgspec.structs.replace(OVERVIEW, state="ended", ended=1071.3, states={"done": 713, "waiting": 2})
    assert progress_of(ended, None, 5000.0).rate == pytest.approx(10.0)
    assert "left" not in text_of(ended)


def test_picture_fits_the_height():
    many = msgspec.structs.replace(
        OVERVIEW, apps={f"app{n}": {"done": 1} for n in range(500)}, blocks=OVERVIEW.blocks * 500
    )
    assert len(text_of(many, height=40).splitlines()) <= 40
    assert "... " in text_of(many, height=40)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((), None), (((0, 5),), None), (((0, 0), (10, 50)), 5.0), (((0, 0), (90, 9), (100, 29)), 2.0)],
)
def test_rate_is_of_the_last_seconds(counts, expected):
    assert rates_of(*counts).rate() == expected


def test_rate_of_a_clock_that_stands_is_unknown():
    assert rates_of((5.0, 1), (5.0, 2)).rate() is None


@pytest.mark.parametrize(("values", "drawn"), [([], ""), ([0, 0], ""), ([0, 4, 8], "▁▅█")])
def test_sparkline(values, drawn):
    assert sparkline(values) == drawn
