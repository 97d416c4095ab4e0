"""Pages of the dashboard: what they show, what they ask, and that text of users stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("starlette")


from cnflow.monitoring.dashboard.rendering import STATIC
from cnflow.monitoring.queries import views
from tests.unit.monitoring.dashboard_data import (
    BEGAN,
    HOSTILE,
    Client,
    FakeReader,
    a_detail,
    a_run,
    a_task,
    a_try,
    a_version,
    make_app,
)

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ("/", *(f"/runs/6f0e{end}" for end in ("", "/tasks", "/tasks/7", "/errors", "/images", "/files", "/models")))


class Markup(HTMLParser):
    """Collects the elements of a page, and the attributes that may run code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
def client(reader: FakeReader) -> Client:
    return Client(make_app(reader))


def hostile(reader: FakeReader) -> None:
    """Put a hostile text wherever a user, a task or a site can put one."""
    reader.all_runs = [
        a_run(name=HOSTILE, version=HOSTILE, script=HOSTILE, run_dir=HOSTILE, user=HOSTILE, host=HOSTILE)
    ]
    row = a_task(
        7, app=HOSTILE, state=HOSTILE, executor=HOSTILE, image=HOSTILE, host=HOSTILE, error=HOSTILE, error_group=HOSTILE
    )
    bad = a_try(
        state=HOSTILE,
        executor=HOSTILE,
        block=HOSTILE,
        host=HOSTILE,
        image=HOSTILE,
        error_type=HOSTILE,
        error=HOSTILE,
        traceback=HOSTILE,
        stderr_tail=HOSTILE,
        signal=HOSTILE,
    )
    reader.model_views = [
        a_version(HOSTILE, model=HOSTILE, state=HOSTILE, reason=HOSTILE, image=HOSTILE, digest=HOSTILE)
    ]
    reader.changes = [
        views.ModelChange(
            time=BEGAN,
            model=HOSTILE,
            version=HOSTILE,
            state=HOSTILE,
            reason=HOSTILE,
            weights={HOSTILE: 0.5},
            executor=HOSTILE,
            manager=HOSTILE,
            worker=0,
            seconds=1.5,
        )
    ]
    file = views.FileView(
        task=7,
        number=0,
        direction=HOSTILE,
        url=HOSTILE,
        state=HOSTILE,
        bytes=1,
        seconds=1.0,
        host=HOSTILE,
        error=HOSTILE,
    )
    reader.rows, reader.file_views = [row], [file]
    reader.details = {
        7: a_detail(
            row,
            arguments=HOSTILE,
            resources={HOSTILE: HOSTILE},
            inputs=HOSTILE,
            stdout=HOSTILE,
            tries=[bad],
            files=[file],
            statuses=[views.StatusView(number=0, state=HOSTILE, time=BEGAN)],
        )
    }
    reader.counts = {HOSTILE: 3, "done": 1}
    reader.groups = [
        views.ErrorGroup(
            id=HOSTILE, type=HOSTILE, app=HOSTILE, message=HOSTILE, count=1, first_task=7, first=BEGAN, last=BEGAN
        )
    ]
    reader.image_views = [
        views.ImageView(
            image=HOSTILE,
            reference=HOSTILE,
            digest=HOSTILE,
            image_id=HOSTILE,
            python=HOSTILE,
            packages=HOSTILE,
            tasks=1,
            nodes=1,
            apps=[HOSTILE],
        )
    ]


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_its_title_and_loads_nothing_from_elsewhere(client: Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    assert "<h1" in answer.text
    links = [attrs.get("src") or attrs.get("href") or "" for _, attrs in Markup(answer.text).elements]
    assert all(link.startswith(("/", "#")) or not link for link in links)


@pytest.mark.parametrize(
    "page", [*PAGES, "/runs/6f0e/tasks?text=%3Cscript%3Ealert(1)%3C/script%3E&state=%3Cscript%3E", "/runs/%3Cscript%3E"]
)
def test_hostile_text_is_shown_as_text(client: Client, reader: FakeReader, page: str) -> None:
    hostile(reader)
    text = client.get(page).text
    elements = Markup(text).elements
    assert "<script>alert" not in text
    assert "66357" not in text  # it is no template either
    assert not [attrs for tag, attrs in elements if tag == "img" and attrs.get("src") == "x"]
    assert not [name for _, attrs in elements for name in attrs if name.startswith("on") or name == "style"]
    assert all((attrs.get("src") or "").startswith("/static/") for tag, attrs in elements if tag == "script")


def test_static_address_changes_with_the_content(client: Client) -> None:
    found = re.search(r'href="(/static/style\.css\?[0-9a-f]{12})"', client.get("/").text)
    assert found is not None
    assert client.get(found[1]).content == (STATIC / "style.css").read_bytes()


def test_missing_run_and_missing_task_are_pages_that_say_so(client: Client) -> None:
    for page, words in (("/runs/none", "There is no run"), ("/runs/6f0e/tasks/99", "no task 99")):
        answer = client.get(page)
        assert answer.status_code == 404
        assert words in answer.text


def test_runs_are_searched_and_filtered(client: Client, reader: FakeReader) -> None:
    client.get("/?text=%20digits%20&state=crashed&before=5a11")
    assert reader.asked == {"text": "digits", "state": "crashed", "limit": 51, "before": "5a11"}
    client.get("/?state=nonsense")
    assert reader.asked["state"] == ""


def test_older_runs_are_on_the_next_page(client: Client, reader: FakeReader) -> None:
    reader.all_runs = [a_run(id=f"r{number}") for number in range(51)]
    page = client.get("/").text
    assert "before=r49" in page
    assert 'href="/runs/r50"' not in page


def test_running_run_has_speed_time_left_and_a_stream(client: Client) -> None:
    page = client.get("/runs/6f0e").text
    assert 'data-live-url="/runs/6f0e/live"' in page
    assert "Time left" in page
    ended = client.get("/runs/5a11").text
    assert "data-live-url" not in ended
    assert "Time left" not in ended


def test_crashed_run_says_that_its_driver_is_gone(client: Client) -> None:
    assert "driver of this run is gone" in client.get("/runs/4c").text


def test_tasks_are_asked_by_filter_and_page(client: Client, reader: FakeReader) -> None:
    page = client.get("/runs/6f0e/tasks?state=any_failure&app=load&text=abc&after=400&limit=50").text
    where = reader.asked["where"]
    assert (where.states, where.app, where.text) == (("failed", "dependency_failed"), "load", "abc")
    assert (reader.asked["after"], reader.asked["before"], reader.asked["limit"]) == (400, None, 50)
    assert "after=29" in page
    assert "limit=50" in page


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=" + "9" * 40, "limit=0", "before=1e3"])
def test_nonsense_in_the_address_of_tasks_is_ignored(client: Client, reader: FakeReader, query: str) -> None:
    assert client.get(f"/runs/6f0e/tasks?{query}").status_code == 200
    assert (reader.asked["after"], reader.asked["before"], reader.asked["limit"]) == (None, None, 100)


def test_unknown_state_is_explained_with_the_nearest(client: Client) -> None:
    assert "Did you mean &#39;failed&#39;" in client.get("/runs/6f0e/tasks?state=faild").text


def test_search_that_stopped_early_can_go_on(client: Client, reader: FakeReader) -> None:
    reader.rows = []
    page = client.get("/runs/6f0e/tasks?text=needle").text
    assert "Search on" in page
    assert "No task up to number 29" in page


def test_failed_task_shows_what_a_person_needs(client: Client, reader: FakeReader) -> None:
    bad = a_try(
        state="failed",
        error_type="MemoryError",
        error="too much",
        traceback="at line 3",
        stderr_tail="swap",
        signal="OOM",
    )
    reader.details[7] = a_detail(a_task(state="failed", error_group="a1"), tries=[bad])
    page = client.get("/runs/6f0e/tasks/7").text
    for words in ("MemoryError", "too much", "at line 3", "swap", "OOM", "node17", "ask for more", "error_group=a1"):
        assert words in page


def test_cancel_is_offered_for_a_live_task_alone(reader: FakeReader) -> None:
    app = make_app(reader)
    client = Client(app)
    reader.details[7] = a_detail(a_task(state="running", ended=None))
    assert 'id="cancel"' not in client.get("/runs/6f0e/tasks/7").text
    app.state.live.folders = {a_run().run_dir}
    page = client.get("/runs/6f0e/tasks/7").text
    assert 'data-text="/runs/6f0e/tasks/7/why"' in page
    assert 'id="cancel"' not in page  # no token: nothing can be done here
    assert client.get("/runs/6f0e/tasks/7/why").text == "It waits for task 3 (load), which runs."


def test_why_is_empty_for_a_run_that_has_ended(client: Client) -> None:
    assert client.get("/runs/5a11/tasks/7/why").text == ""


def test_output_follows_the_lines_of_a_task(client: Client, reader: FakeReader, tmp_path: Path) -> None:
    reader.all_runs = [a_run(run_dir=str(tmp_path))]
    reader.details[7] = a_detail(a_task(state="running", ended=None))
    log = tmp_path / "cluster" / "block-0.log"
    log.parent.mkdir()
    log.write_text("train[7] | epoch 1\nload[8] | other\ntrain[7] | epoch")
    first = client.get("/runs/6f0e/tasks/7/output/log").json()
    assert first["text"] == "epoch 1\n"
    assert not first["is_final"]
    with log.open("a") as file:
        file.write(" 2\n")
    assert (
        client.get("/runs/6f0e/tasks/7/output/log", params={"after": first["position"]}).json()["text"] == "epoch 2\n"
    )


def test_output_of_a_later_run_in_the_same_folder_is_not_shown(
    client: Client, reader: FakeReader, tmp_path: Path
) -> None:
    reader.all_runs = [a_run(run_dir=str(tmp_path))]
    reader.without_folder = {"6f0e"}
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "block-0.log").write_text("train[7] | of another\n")
    shown = client.get("/runs/6f0e/tasks/7/output/log").json()
    assert (shown["text"], shown["note"]) == ("", f"The folder is that of a later run by now: {tmp_path}")


def test_output_of_an_unknown_stream_is_not_found(client: Client) -> None:
    assert client.get("/runs/6f0e/tasks/7/output/passwd").status_code == 404


def test_task_without_output_says_why(client: Client, reader: FakeReader) -> None:
    reader.details[7] = a_detail(a_task(), memoized=True)
    assert "found in the cache" in client.get("/runs/6f0e/tasks/7/output/log").json()["note"]


def test_files_go_on_after_the_last_task(client: Client, reader: FakeReader) -> None:
    reader.file_views = [
        views.FileView(
            task=n, number=0, direction="in", url=f"file:/x{n}", state="moved", bytes=1, seconds=1.0, host="", error=""
        )
        for n in range(200)
    ]
    page = client.get("/runs/6f0e/files?text=x&after=12").text
    assert reader.asked == {"text": "x", "limit": 200, "after": 12}
    assert "text=x&amp;after=199" in page


def test_task_of_a_crashed_run_does_not_go_on(client: Client, reader: FakeReader) -> None:
    reader.details[7] = a_detail(
        a_task(state="running", ended=None, submitted=BEGAN),
        tries=[a_try(state="running", running=BEGAN, ended=None)],
        statuses=[
            views.StatusView(number=0, state="running", time=BEGAN),
            views.StatusView(number=0, state="staging_out", time=BEGAN + 4),
        ],
    )
    assert "<title>running: 4.0 s</title>" in client.get("/runs/4c/tasks/7").text


def test_models_are_shown_with_their_figures_and_what_happened(reader, client):
    reader.model_views = [
        a_version(),
        a_version("0.3", weight=0.0, is_shadow=True, copies=12, copy_errors=1, state="loading", reason="no worker yet"),
        a_version("", state="", image="", digest="", requests=17, workers=None, in_flight=None, weight=None),
    ]
    change = views.ModelChange(
        time=BEGAN, model="digits", version="", state="weights", reason="", weights={"0.2": 0.9, "0.1": 0.1},
        executor="", manager="", worker=-1, seconds=None,
    )  # fmt: skip
    reader.changes = [change]
    text = client.get("/runs/6f0e/models").text
    for shown in ("12,345", "4.2 ms · 11 ms · 87 ms", "90 %", "shadow: 12 copies, 1 failed", "no worker yet"):
        assert shown in text
    assert "none was chosen" in text
    assert "sha256:abababababab" in text
    assert re.search(r"Batches of 0\.2: 10,000", text)
    assert 'data-chart="model"' in text
    assert "0.<wbr>2 90 %" in text


def test_chart_of_a_model_asks_for_that_model(reader, client):
    reader.model_views = [a_version(), a_version(model="a&b c")]
    page = Markup(client.get("/runs/6f0e/models").text)
    asked = [parse_qs(urlsplit(each["data-url"]).query) for _, each in page.elements if "data-url" in each]
    assert [each["model"] for each in asked] == [["digits"], ["a&b c"]]


def test_run_that_serves_no_models_says_how_to(client):
    assert "This run serves no models" in client.get("/runs/6f0e/models").text
