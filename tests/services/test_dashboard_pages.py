"""Each page of the dashboard in a real Chromium: light, dark, on a phone, and by axe-core's rules."""

import pytest

from tests.services.dashboard_browser import LARGE, LIVE, PHONE, SMALL

pytestmark = pytest.mark.chromium

PAGES = {
    "runs": "/",
    "compare": f"/compare?run={LARGE}&run={SMALL}",
    "run": f"/runs/{LIVE}",
    "tasks": f"/runs/{SMALL}/tasks",
    "tasks-failed": f"/runs/{LIVE}/tasks?state=failed",
    "task": f"/runs/{LARGE}/tasks/100",
    "errors": f"/runs/{LIVE}/errors",
    "images": f"/runs/{LARGE}/images",
    "files": f"/runs/{LIVE}/files",
    "graph": f"/runs/{SMALL}/graph",
    "graph-by-app": f"/runs/{LARGE}/graph?group=app+and+state",
    "workers": f"/runs/{SMALL}/workers",
    "blocks": f"/runs/{LIVE}/blocks",
    "block": f"/runs/{LIVE}/blocks/cluster/0",
    "nodes": f"/runs/{SMALL}/nodes",
    "node": f"/runs/{LARGE}/nodes/m000",
    "models": f"/runs/{LARGE}/models",
    "models-none": f"/runs/{SMALL}/models",
    "efficiency": f"/runs/{LARGE}/efficiency",
}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_in_light_and_dark_and_fits_a_phone(visit, name):
    visitor = visit(color_scheme="light")
    page = visitor.go(PAGES[name])
    visitor.picture(f"{name}-light")
    faults = [f"light: {fault}" for fault in visitor.accessibility_faults()]
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "dark"
    visitor.settle()
    visitor.picture(f"{name}-dark")
    faults += [f"dark: {fault}" for fault in visitor.accessibility_faults("color-contrast", "link-in-text-block")]
    page.set_viewport_size(PHONE)
    visitor.settle()
    visitor.picture(f"{name}-phone")
    assert faults == []
    assert visitor.overflow() == 0


def test_dark_mode_of_the_system_is_followed_and_another_choice_is_kept(visit):
    visitor = visit(color_scheme="dark")
    page = visitor.go("/")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.keyboard.press("t")
    assert visitor.go(f"/runs/{SMALL}").get_attribute("html", "data-theme") == "light"


def test_a_page_that_is_not_there_says_so(visit):
    visitor = visit()
    assert visitor.page.goto(f"{visitor.address}/runs/run-nobody").status == 404
    assert visitor.accessibility_faults() == []
    assert "run-nobody" in visitor.page.inner_text("main")
    visitor.faults.clear()  # the console has the 404, too
