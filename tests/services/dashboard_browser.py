"""A dashboard of a made-up database, and the browser that looks at it. For the marker ``chromium``."""

import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from benchmarks.monitoring_data import make_database
from benchmarks.monitoring_models import add_models
from cnflow.monitoring.dashboard.app import build_app
from cnflow.monitoring.dashboard.server import listen
from cnflow.monitoring.queries.reader import Reader

FLAGS = (
    "--no-sandbox",  # in a container, and as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

DESKTOP = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 844}

BAD = ("serious", "critical")
"""Impact of faults, in axe-core's words, that no page may have."""


@contextmanager
def started_chromium():
    """Run Debian's Chromium; yields Playwright's browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


LARGE, SMALL, LIVE = "run-large", "run-small", "run-live"
"""Ids of the runs of `made_database`."""


def made_database(folder):
    """Make a database of three runs in *folder*; return its path."""
    path = folder / "monitoring.db"
    logs = folder / "live" / "cluster"
    logs.mkdir(parents=True)
    (logs / "block-0.log").write_text("manager started\n<script>alert(2)</script>\n")
    make_database(path, run=LARGE, tasks=10_000, folder=folder / "large")
    make_database(path, run=SMALL, tasks=60, seed=1, nodes=4, folder=folder / "small")
    add_models(path, run=LARGE)
    make_database(path, run=LIVE, tasks=400, seed=2, nodes=4, is_live=True, folder=folder / "live")
    return path


@contextmanager
def served(database, *, can_act=True):
    """Serve the dashboard of *database* in a thread; yields its address."""
    reader = Reader(f"sqlite:///{database}")
    listener = listen("127.0.0.1", 0)
    app = build_app(reader, can_act=can_act)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        reader.close()


class Visitor:
    """A tab of the browser that notes what goes wrong in it.

    Args:
        browser: of `started_chromium`.
        address: of the dashboard.
        settings: of Playwright's new_context.
    """

    def __init__(self, browser, address, **settings):
        self.address = address
        self.faults = []
        self._context = browser.new_context(**{"viewport": DESKTOP, **settings})
        self.page = self._context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)

    def go(self, path):
        """Open *path*, and wait until its charts are drawn."""
        answer = self.page.goto(self.address + path)
        assert answer.status == 200, f"{path}: {answer.status}"
        self.settle()
        return self.page

    def settle(self):
        """Wait until all charts, bars and graphs of the page are drawn, or say why not."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll('figure.chart')]
                .every((each) => each.dataset.drawn || each.querySelector('.words'))
                && [...document.querySelectorAll('#graph')].every((each) => each.dataset.nodes)"""
        )

    def picture(self, name, *, full=True):
        """Keep a picture of the page in the folder that CNFLOW_SCREENSHOTS names, if it names one."""
        if folder := os.environ.get("CNFLOW_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=full, timeout=60_000)

    def accessibility_faults(self, *rules):
        """Return faults by axe-core's rules that are serious or worse; only of *rules* where some are given."""
        options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else None
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found
            if each["impact"] in BAD
            for node in each["nodes"]
        ]

    def overflow(self):
        """Return by how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def close(self):
        """Close the tab."""
        self._context.close()

    def _on_dialog(self, dialog):
        self.faults.append(f"a script of a user ran: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message):
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _on_request(self, request):
        if not request.url.startswith((self.address, "data:")):
            self.faults.append(f"something was loaded from elsewhere: {request.url}")
