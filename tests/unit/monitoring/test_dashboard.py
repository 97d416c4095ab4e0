import asyncio
import contextlib
import html
import re
import sqlite3
import subprocess
import sys

import httpx
import msgspec
import pytest

from benchmarks.monitoring_data import make_database
from benchmarks.monitoring_models import add_models
from cnflow.cli.commands.monitor import url_of
from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard import api, live, metrics, openapi
from cnflow.monitoring.dashboard.app import build_app
from cnflow.monitoring.dashboard.process import print_address
from cnflow.monitoring.dashboard.reproduction import reproduction_command
from cnflow.monitoring.dashboard.server import address_of, listen
from cnflow.monitoring.queries.reader import Reader

ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("monitoring") / "monitoring.db"
    make_database(path, tasks=200, run="run-1", folder=path.parent / "000")
    add_models(path, run="run-1", intervals=3)
    make_database(path, tasks=200, run="run-2", is_live=True, folder=path.parent / "001")
    made = Reader(str(path))
    yield made
    made.close()


def ask(app, *requests, cookies=None):
    """Responses to *requests*, each a method, a path and further arguments of httpx, of one browser."""

    async def all_of_them():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as client:
            return [await client.request(method, path, **(rest[0] if rest else {})) for method, path, *rest in requests]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    "path", ["/", "/runs/run-1", "/api/v1/runs", "/metrics", "/?token=another", "/runs/run-1/live"]
)
def test_without_the_token_nothing_is_shown(reader, path):
    (response,) = ask(build_app(reader, token="right"), ("GET", path))
    assert response.status_code == 401
    assert "variants" not in response.text


def test_the_token_of_the_address_becomes_a_cookie(reader):
    app = build_app(reader, token="right")
    first, then = ask(app, ("GET", f"{ORIGIN}//evil.example/?token=right&a=1"), ("GET", "/api/v1/runs"))
    assert (first.status_code, first.headers["location"]) == (303, "/evil.example/?a=1")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert then.status_code == 200


def test_a_program_brings_the_token_in_a_header(reader):
    app = build_app(reader, token="right")
    good, bad = ask(
        app,
        ("GET", "/metrics", {"headers": {"authorization": "Bearer right"}}),
        ("GET", "/metrics", {"headers": {"authorization": "Bearer wrong"}}),
    )
    assert (good.status_code, bad.status_code) == (200, 401)


def test_without_a_token_the_name_of_the_host_has_to_be_one_of_ours(reader):
    app = build_app(reader, hosts=("login-1",))
    evil, ours = ask(
        app,
        ("GET", "/api/v1/runs", {"headers": {"host": "evil.example:8080"}}),
        ("GET", "/api/v1/runs", {"headers": {"host": "login-1:8080"}}),
    )
    assert (evil.status_code, ours.status_code) == (421, 200)


def test_every_answer_keeps_the_browser_from_running_what_is_not_ours(reader):
    for response in ask(build_app(reader), ("GET", "/api/v1/runs"), ("GET", "/runs/nope"), ("GET", "/no/such/page")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_links_of_the_pages_of_a_run_lead_somewhere(reader):
    app = build_app(reader)
    pages = ask(app, ("GET", "/"), ("GET", "/runs/run-1"), ("GET", "/runs/run-1/tasks/100"))
    links = {html.unescape(link) for page in pages for link in re.findall(r'href="(/[^"]*)"', page.text)}
    assert "/api/v1/openapi.json" in links
    answers = zip(links, ask(app, *(("GET", link) for link in links)), strict=True)
    assert [(link, answer.status_code) for link, answer in answers if answer.status_code != 200] == []


def forms(app, path, **headers):
    (page,) = ask(app, ("GET", "/no/such/page"))
    csrf = page.text.partition('name="csrf" content="')[2].partition('"')[0]
    return csrf, lambda value: ask(app, ("POST", path, {"headers": {"x-csrf-token": value, **headers}}))[0]


def test_an_action_needs_a_page_of_this_dashboard(reader):
    app = build_app(reader)
    path = "/runs/run-2/tasks/3/cancel"
    csrf, send = forms(app, path)
    assert csrf
    assert send("guess").status_code == 403
    assert forms(app, path, origin="http://evil.example")[1](csrf).status_code == 403
    assert forms(app, path, **{"sec-fetch-site": "cross-site"})[1](csrf).status_code == 403


def test_an_action_reaches_the_run(reader, monkeypatch):
    app = build_app(reader)
    asked = []

    def answer(run_dir, question):
        asked.append((run_dir, question))
        return {"message": "done"}

    monkeypatch.setattr(app.state.live, "ask", answer)
    csrf, send = forms(app, "/runs/run-2/tasks/3/cancel", origin=ORIGIN)
    assert send(csrf).json() == {"message": "done"}
    (form,) = ask(app, ("POST", "/runs/run-2/blocks/cluster/1/drain", {"data": {"csrf": csrf}}))
    assert form.json() == {"message": "done"}
    folder = reader.run("run-2").run_dir
    assert asked == [
        (folder, {"ask": "cancel", "task": 3}),
        (folder, {"ask": "drain", "executor": "cluster", "block": "1"}),
    ]


def test_an_action_on_a_run_that_has_ended_is_refused(reader):
    csrf, send = forms(build_app(reader), "/runs/run-1/tasks/3/cancel")
    answer = send(csrf)
    assert (answer.status_code, answer.json()["error"]) == (409, "The run has ended: nothing can be done to it.")


def test_an_action_on_a_run_that_was_killed_says_so(reader):
    csrf, send = forms(build_app(reader), "/runs/run-2/tasks/3/cancel")
    assert "does not answer" in send(csrf).json()["error"]


def test_an_action_on_a_run_whose_folder_has_a_later_one_is_refused(tmp_path):
    for run in ("lost", "later"):
        make_database(tmp_path / "monitoring.db", tasks=5, run=run, is_live=True, folder=tmp_path / "000")
    connection = sqlite3.connect(tmp_path / "monitoring.db")
    connection.execute("UPDATE workflow SET time_began = datetime(time_began, '-1 day') WHERE run_id = 'lost'")
    connection.commit()
    connection.close()
    reader = Reader(str(tmp_path / "monitoring.db"))
    assert [reader.has_folder(reader.run(run)) for run in ("lost", "later")] == [False, True]
    csrf, send = forms(build_app(reader), "/runs/lost/tasks/3/cancel")
    answer = send(csrf)
    assert (answer.status_code, "later run" in answer.json()["error"]) == (409, True)
    reader.close()


def test_a_dashboard_that_only_shows_does_nothing(reader):
    app = build_app(reader, can_act=False)
    csrf, send = forms(app, "/runs/run-2/tasks/3/cancel")
    assert csrf == ""
    assert send("").status_code == 403


def test_every_address_of_the_api_answers_and_is_described(reader):
    app = build_app(reader)
    paths = [api.PREFIX + address for address in api.ANSWERS]
    filled = [
        path.replace("{run}", "run-1").replace("{task:int}", "100").replace("{manager}", "m003") for path in paths
    ]
    for response in ask(app, *(("GET", path) for path in filled)):
        assert response.status_code == 200, response.url
        assert response.json()
    (described,) = ask(app, ("GET", f"{api.PREFIX}/openapi.json"))
    document = described.json()
    assert list(document["paths"]) == [path.replace(":int", "") for path in paths]
    assert set(api.WORDS) == set(api.ANSWERS)
    assert document == msgspec.json.decode(msgspec.json.encode(openapi.document(api.WORDS, api.PREFIX)))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/runs/nope", "There is no run 'nope'"),
        ("/runs/run-1/tasks/999999", "no task 999999"),
        ("/runs/run-1/tasks?limit=many", "not a whole number"),
        ("/runs/run-1/tasks?state=odd", "'odd'"),
        ("/runs/run-1/bars?start=now", "not a number of seconds"),
        ("/runs/run-1/bars?start=nan", "not a number of seconds"),
        ("/runs/run-1/bars?end=1e30", "not a number of seconds"),
        (f"/runs/run-1/tasks?after={10**30}", "too large"),
        (f"/runs/run-1/tasks/{10**30}", "such a large number"),
        (f"/runs/run-1/tasks/{10**30}/samples", "such a large number"),
    ],
)
def test_a_bad_question_is_answered_in_words(reader, path, words):
    (response,) = ask(build_app(reader), ("GET", api.PREFIX + path))
    assert response.status_code == 404
    assert words in response.json()["error"]


def test_the_address_of_the_api_on_each_page_leads_somewhere(reader):
    app = build_app(reader)
    page, described = ask(app, ("GET", "/"), ("GET", f"{api.PREFIX}/openapi.json"))
    assert f'href="{api.PREFIX}/openapi.json"' in page.text
    assert described.status_code == 200


def test_a_page_of_a_run_that_was_deleted_says_so(reader):
    (response,) = ask(build_app(reader), ("GET", "/runs/<script>alert(1)<%2Fscript>/command"))
    assert response.status_code == 404
    assert "<script>alert" not in response.text


def test_metrics_are_those_of_runs_that_go_on(reader):
    text = metrics.exposition(reader)
    assert 'run="run-1"' not in text
    assert 'cnflow_tasks{run="run-2",name="variants",state="waiting"} 1' in text
    assert 'cnflow_workers{run="run-2",name="variants",executor="cluster"} 128' in text
    for line in text.splitlines():
        assert line.startswith(("# HELP cnflow_", "# TYPE cnflow_", "cnflow_")), line


def test_a_block_without_a_price_has_no_cost(reader, monkeypatch):
    free = [msgspec.structs.replace(block, usd=None) for block in reader.blocks("run-2")]
    monkeypatch.setattr(reader, "blocks", lambda run: free)
    assert "cnflow_block_cost_usd{" not in metrics.exposition(reader)


def events(reader, run, until, period=0.01):
    async def collect():
        found = []
        stream = live.changes(reader, run, live.Streams(), period)
        async with contextlib.aclosing(stream):
            async for event in stream:
                found.append(event)
                if until(found):
                    break
        return found

    return asyncio.run(asyncio.wait_for(collect(), 20))


def test_a_stream_tells_of_each_change(tmp_path):
    path = tmp_path / "monitoring.db"
    make_database(path, tasks=5, run="a", is_live=True)
    reader = Reader(str(path))

    def until(found):
        if len(found) == 2:
            make_database(path, tasks=5, run="b")
        return len(found) == 3

    assert [each.partition("\n")[0] for each in events(reader, "", until)] == [
        "retry: 3000",
        "event: change",
        "event: change",
    ]
    reader.close()


def test_a_stream_ends_with_its_run(reader):
    assert events(reader, "run-1", lambda found: False)[-1].startswith("event: end\n")


def test_a_stream_of_a_run_that_is_gone_ends(reader):
    assert "There is no run" in events(reader, "nope", lambda found: False)[-1]


def test_a_name_with_a_new_line_ends_no_comment_of_the_command(reader):
    run = reader.run("run-1")
    detail = reader.task("run-1", 3)
    bad = msgspec.structs.replace(detail, task=msgspec.structs.replace(detail.task, app="a\nrm -rf x", image="b;c"))
    lines = reproduction_command(run, msgspec.structs.replace(bad, tries=[])).splitlines()
    assert not [line for line in lines if line.startswith("rm")]
    assert "'b;c'" in "\n".join(lines)


@pytest.mark.parametrize("hostile", ["$(touch x)", "`touch x`; touch x", "x'; touch x; '", "\x15touch x", "a\ntouch x"])
def test_nothing_in_the_command_runs_by_itself(reader, hostile, tmp_path):
    run, detail = reader.run("run-1"), reader.task("run-1", 3)
    task = msgspec.structs.replace(detail.task, app=hostile, image="")
    bad = msgspec.structs.replace(detail, task=task, tries=[], arguments=hostile, resources={"cores": hostile})
    text = reproduction_command(msgspec.structs.replace(run, id=hostile), bad)
    assert "\x15" not in text
    said = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("cnflow "))
    subprocess.run(["/bin/sh", "-c", said], cwd=tmp_path, check=True)
    assert not list(tmp_path.iterdir())
    assert not [line for line in text.splitlines() if line.startswith("#")]  # no comment at the prompt of zsh


def test_a_password_comes_from_a_variable(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "secret")
    assert url_of("postgresql://ann:$DB_PASSWORD@host/runs") == "postgresql://ann:secret@host/runs"
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(ConfigurationError, match="DB_PASSWORD"):
        url_of("postgresql://ann:$DB_PASSWORD@host/runs")


@pytest.mark.parametrize(("mode", "is_shown"), [(0o600, True), (0o644, False), (0o640, False)])
def test_a_log_that_others_read_has_no_token(tmp_path, monkeypatch, mode, is_shown):
    log = tmp_path / "slurm-7.out"
    log.touch()
    log.chmod(mode)
    with log.open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        print_address("http://127.0.0.1:80/?token=secret", tmp_path / "000/dashboard.url")
    text = log.read_text()
    assert ("secret" in text) == is_shown
    assert ("000/dashboard.url" in text) != is_shown
    assert "http://127.0.0.1:80/" in text


def test_a_port_that_is_taken_is_an_error_that_names_it():
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}: Address already in use.*--port"):
        listen("127.0.0.1", port)
    assert address_of(first, "a b") == f"http://127.0.0.1:{port}/?token=a%20b"
    first.close()
