"""The dashboard worked with in a real Chromium: live updates, filters, graph, charts, keys, and actions."""

import re
import sqlite3
from contextlib import closing

import pytest

from tests.services.dashboard_browser import LARGE, LIVE, SMALL

pytestmark = pytest.mark.chromium

FIRST_BOX = """() => {
  const canvas = document.querySelector('#graph canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  for (let y = 10; y < canvas.height; y += 3) for (let x = 10; x < canvas.width; x += 3)
    if (data[(y * canvas.width + x) * 4 + 3] > 200) return [x + 20, y + 12];
}"""
"""Script that returns a point in a box of the graph, as a person sees one."""


def write(database, statement, *values):
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        connection.execute(statement, values)


def test_a_page_of_a_live_run_changes_by_itself(visit, dashboard):
    visitor = visit()
    page = visitor.go(f"/runs/{LIVE}/tasks?state=running")
    page.evaluate("window.isTheSamePage = true")
    task = page.inner_text("table.data tbody tr:first-child .row-link")
    page.wait_for_selector('#live[data-state="on"]')
    write(dashboard[1], "UPDATE task SET task_state = 'done' WHERE run_id = ? AND task_id = ?", LIVE, int(task))
    page.wait_for_function(
        "(task) => ![...document.querySelectorAll('.row-link')].some((each) => each.textContent === task)", arg=task
    )
    assert page.evaluate("window.isTheSamePage")


def test_charts_of_a_live_run_are_drawn_anew(visit, dashboard):
    visitor = visit()
    page = visitor.go(f"/runs/{LIVE}/workers")
    page.wait_for_selector('#live[data-state="on"]')
    page.click("summary")
    rows = page.locator("figure[data-chart] tbody tr").count()
    columns = "run_id, second, task_func_name, submitted, launched, done, failed, cancelled, run_seconds"
    last = "SELECT max(second) + 5 FROM progress WHERE run_id = ?"
    write(
        dashboard[1], f"INSERT INTO progress ({columns}) VALUES (?, ({last}), 'late', 3, 3, 777, 0, 0, 1.0)", LIVE, LIVE
    )
    page.wait_for_function("() => document.querySelector('figure[data-chart] details').textContent.includes('777')")
    assert page.locator("figure[data-chart] tbody tr").count() >= rows > 0


def test_tasks_are_filtered_by_state_and_text(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{LARGE}/tasks")
    page.select_option("select[name=state]", "failed")
    page.wait_for_url(re.compile("state=failed"))
    states = page.locator("table.data tbody .badge").all_inner_texts()
    assert states
    assert set(states) == {"failed"}
    page.fill("input[name=text]", "sample-0000")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("text=sample"))


def test_the_graph_of_ten_thousand_tasks_is_drawn_and_leads_to_a_task(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{LARGE}/graph?group=none")
    assert page.get_attribute("#graph", "data-nodes") == "10000"
    visitor.picture("graph-10000", full=False)
    page.focus("#graph canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    assert "needed by" in page.inner_text("#graph-words")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/runs/{LARGE}/tasks/\d+$"))


def test_a_click_on_a_group_of_the_graph_leads_to_its_tasks(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{LARGE}/graph?group=app")
    box = page.locator("#graph canvas").bounding_box()
    found = page.evaluate(FIRST_BOX)
    page.mouse.click(box["x"] + found[0], box["y"] + found[1])
    page.wait_for_url(re.compile(rf"/runs/{LARGE}/tasks\?app="))


def test_the_graph_is_grouped_and_coloured_by_choice(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{SMALL}/graph")
    page.check("input[name=colour][value=app]")
    assert "align" in page.inner_text("#graph-keys")
    page.check("input[name=group][value='app and state']")
    page.wait_for_url(re.compile("group=app"))
    visitor.settle()
    page.click("#graph-list summary")
    assert page.locator("#graph-list tbody tr").count() == int(page.get_attribute("#graph", "data-nodes"))


def test_bars_of_workers_are_seen_nearer_and_lead_to_a_task(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{SMALL}/workers")
    before = page.inner_text("figure.gantt p")
    page.focus("figure.gantt canvas")
    page.keyboard.press("+")
    page.wait_for_function("(text) => document.querySelector('figure.gantt p').textContent !== text", arg=before)
    page.keyboard.press("0")
    page.wait_for_timeout(500)
    page.keyboard.press("ArrowRight")
    assert "Enter opens it" in page.inner_text("figure.gantt p")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/runs/{SMALL}/tasks/\d+$"))


def test_an_action_is_asked_about_first(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{LIVE}/blocks")
    posts = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    page.click("button[data-action]")
    assert "Drain block" in page.inner_text("#confirm")
    visitor.picture("confirmation", full=False)
    page.keyboard.press("Escape")
    page.wait_for_selector("#confirm", state="hidden")
    assert posts == []


def test_the_log_of_a_block_is_shown_as_text_and_followed(visit, dashboard):
    visitor = visit()
    page = visitor.go(f"/runs/{LIVE}/blocks/cluster/0")
    page.wait_for_function("() => document.querySelector('#block-log').textContent.includes('<script>alert(2)')")
    with (dashboard[1].parent / "live" / "cluster" / "block-0.log").open("a") as file:
        file.write("another line\n")
    page.wait_for_function("() => document.querySelector('#block-log').textContent.includes('another line')")


def test_names_of_users_are_text_wherever_they_are_shown(visit):
    visitor = visit()
    for path in ("", "/tasks", "/graph?group=app", "/workers", "/efficiency", "/tasks/0"):
        page = visitor.go(f"/runs/{LARGE}{path}")
        assert page.locator("main script").count() == 0
        page.hover("main")


def test_two_runs_are_chosen_and_compared(visit):
    visitor = visit()
    page = visitor.go("/")
    boxes = page.locator('input[name="run"]')
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.click("#compare")
    page.wait_for_url(re.compile("/compare"))
    visitor.settle()
    assert page.get_attribute("figure.chart", "data-drawn") == "1"


def test_the_page_can_be_walked_through_by_keys(visit):
    visitor = visit()
    page = visitor.go(f"/runs/{LARGE}/tasks")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tasks/\d+$"))
