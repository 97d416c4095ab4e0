"""The page of served models in a real Chromium: it asks for the key, shows what a model takes, and tries a call."""

import pytest

from cnflow.config.http_front import HttpSettings
from cnflow.serving.http.server import HttpServer, build_app, listen
from tests.unit.serving.http.fake_service import EchoService, version_of

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(180)]

HOSTILE = "<img src=x onerror=alert(1)>"


def test_page_shows_models_and_tries_them():
    from axe_playwright_python.sync_playwright import Axe

    from tests.services.dashboard_browser import BAD, started_chromium

    service = EchoService()
    description = {**version_of().description, "doc": f"Names flowers. {HOSTILE}"}
    service._models["iris"].versions[0] = version_of(description=description)
    settings = HttpSettings(port=0, api_keys={"ann": "ann-key-1"})
    server = HttpServer(build_app(service, settings), settings, [listen(settings)])
    server.start()
    try:
        with started_chromium() as browser:
            page = browser.new_page()
            faults = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("dialog", lambda dialog: faults.append(dialog.message))
            page.goto(f"http://127.0.0.1:{server.port}/")
            page.get_by_label("API key").fill("ann-key-1")
            page.get_by_role("button", name="Use").click()
            page.get_by_text(HOSTILE).first.wait_for()
            page.get_by_text("Try", exact=True).first.click()
            page.get_by_label("Body for v1/models/iris:predict").fill('[{"petal": {"width": 2}}]')
            page.get_by_role("button", name="Send").first.click()
            page.get_by_text('[{"petal":{"width":2}}]').wait_for()
            found = Axe().run(page).response["violations"]
            assert [each["id"] for each in found if each["impact"] in BAD] == []
            assert faults == []
            page.close()
    finally:
        server.stop()
    assert [call.client for call in service.calls] == ["ann"]
