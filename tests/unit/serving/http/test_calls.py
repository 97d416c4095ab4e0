"""Calls of models, asked of the app in its process."""

import asyncio
import contextlib
import json

import httpx
import msgspec
import pytest

from cnflow.config.http_front import HttpSettings
from cnflow.serving.http.server import build_app
from cnflow.serving.service import RowForm, ServingError
from tests.unit.serving.http.fake_service import EchoService


class Counted:
    """Metrics that a test can read."""

    def __init__(self):
        self.seen = []

    def on_request(self, model, version, status, seconds):
        self.seen.append((model, version, status))

    def render(self):
        return "cnflow_requests 1\n"


def ask(method, path, service=None, *, settings=None, metrics=None, admin=None, **request):
    """Return the response to one request."""
    app = build_app(service or EchoService(), settings or HttpSettings(), metrics, admin)

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **request)

    return asyncio.run(asked())


def post(path, body, service=None, **more):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask("POST", path, service, content=content, **more)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ([1, 2], [1, 2]),
        ([], []),
        ({"rows": [[1], {"a": 2}]}, {"results": [[1], {"a": 2}]}),
        ({"instances": ["x"]}, {"predictions": ["x"]}),
    ],
)
def test_results_come_in_the_form_of_the_body(body, answer):
    response = post("/v1/models/iris:predict", body)
    assert (response.status_code, response.json()) == (200, answer)
    assert response.headers["x-model-version"] == "v1"
    assert response.headers["server-timing"] == "queue;dur=1.00, compute;dur=2.00"


def test_call_has_what_address_body_and_headers_say():
    service = EchoService()
    headers = {
        "x-request-id": "mine-7",
        "x-request-timeout": "2.5",
        "x-priority": "bulk",
        "x-batch-apart": "tenant a",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    response = post("/v1/models/iris@v2:predict", {"rows": [1, 2], "options": {"top": 3}}, service, headers=headers)
    (call,) = service.calls
    assert call.rows == b"[1, 2]"
    assert (call.model, call.version, call.form, call.row_count) == ("iris", "v2", RowForm.JSON, 2)
    assert (call.request_id, call.timeout, call.is_bulk, call.apart) == ("mine-7", 2.5, True, "tenant a")
    assert call.traceparent == headers["traceparent"]
    assert call.options == {"top": 3}
    assert response.headers["x-request-id"] == "mine-7"


def test_version_may_be_a_folder_of_the_address():
    service = EchoService()
    assert post("/v1/models/iris/versions/v2:predict", [1], service).headers["x-model-version"] == "v2"


@pytest.mark.parametrize("name", ["no\tword", "x" * 129, "two words", "ü"])
def test_request_id_that_cannot_be_sent_back_is_replaced(name):
    response = post("/v1/models/iris:predict", [1], headers={b"x-request-id": name.encode("latin-1")})
    assert response.status_code == 200
    assert response.headers["x-request-id"] != name


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        (b"", "bad_request", "is empty"),
        (b"7", "bad_request", "neither an array nor an object"),
        (b"{}", "bad_request", "has no rows"),
        (b'{"row": [1]}', "bad_request", "Did you mean 'rows'?"),
        (b'{"rows": 1}', "bad_request", "rows is no array"),
        (b'{"rows": [1], "instances": [1]}', "bad_request", "send one of them"),
        (b'{"rows": [1], "options": 3}', "bad_request", "options"),
        (b'{"area": 50}', "bad_request", "goes in an array: [{...}]"),
        (b"[1, NaN]", "bad_json", "neither NaN nor Infinity"),
        (b"[1 2]", "bad_json", "expected ','"),
        (b'["\xff"]', "bad_json", "utf-8"),
        (b"[" * 200_000, "bad_json", "nested too deeply"),
        (b'{"rows":' * 100_000, "bad_json", "nested too deeply"),
    ],
)
def test_body_that_is_no_request_is_explained(body, code, word):
    response = post("/v1/models/iris:predict", body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, code)
    assert word in error["message"]
    assert error["request_id"] == response.headers["x-request-id"]


def test_body_above_the_limit_is_refused_before_it_is_read():
    service = EchoService()
    response = post("/v1/models/iris:predict", [0] * 1000, service, settings=HttpSettings(max_body=1024))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert service.calls == []


def test_more_rows_than_the_limit_are_refused():
    response = post("/v1/models/iris:predict", [1, 2, 3], settings=HttpSettings(max_rows=2))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_many_rows")


def test_error_of_the_service_has_its_status_words_and_details():
    service = EchoService()
    details = [{"loc": [1, "petal"], "msg": "Field required", "type": "missing", "input": {1, 2}}]
    service.error = ServingError("Row 1 is not as wanted.", 422, "invalid_rows", details=details)
    response = post("/v1/models/iris:predict", [1, 2], service)
    error = response.json()["error"]
    assert response.status_code == 422
    assert error["message"] == "Row 1 is not as wanted."
    assert error["details"][0]["loc"] == [1, "petal"]


def test_error_tells_when_another_try_makes_sense():
    service = EchoService()
    service.error = ServingError("Full.", 429, "too_many_requests", retry_after=0.2)
    response = post("/v1/models/iris:predict", [1], service)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert response.json()["error"]["retry_after"] == 0.2


def test_error_that_nobody_expected_is_logged_and_not_shown(caplog):
    service = EchoService()
    service.error = ValueError("secret path /home/ann")
    response = post("/v1/models/iris:predict", [1], service)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in response.json()["error"]["message"]
    assert "secret path" in caplog.text


def test_service_that_never_answers_is_given_up():
    service = EchoService()
    service.delay = 60.0
    response = post("/v1/models/iris:predict", [1], service, settings=HttpSettings(max_timeout=0.05))
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
    assert service.cancelled == 1


def test_request_above_the_number_in_progress_is_sent_away():
    service = EchoService()
    service.delay = 0.2
    app = build_app(service, HttpSettings(max_requests=2))

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            calls = [client.post("/v1/models/iris:predict", content=b"[1]") for _ in range(3)]
            return await asyncio.gather(*calls)

    responses = asyncio.run(asked())
    assert sorted(each.status_code for each in responses) == [200, 200, 429]
    assert app.front.in_progress == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-request-timeout", "soon"),
        ("x-request-timeout", "-1"),
        ("x-request-timeout", "nan"),
        ("x-request-timeout", "inf"),
        ("x-priority", "high"),
    ],
)
def test_header_that_means_nothing_is_refused(header, value):
    response = post("/v1/models/iris:predict", [1], headers={header: value})
    assert response.status_code == 400
    assert value in response.json()["error"]["message"]


def test_metrics_count_each_call_with_its_status():
    metrics, service = Counted(), EchoService()
    post("/v1/models/iris:predict", [1], service, metrics=metrics)
    post("/v1/models/irs@v9:predict", [1], service, metrics=metrics)
    post("/v1/models/iris:predict", b"", service, metrics=metrics)
    assert metrics.seen == [("iris", "v1", 200), ("irs", "v9", 404), ("iris", "", 400)]
    assert ask("GET", "/metrics", metrics=metrics).text == "cnflow_requests 1\n"


def events_of(text):
    """Return kind and data of each event."""
    found = []
    for block in text.split("\n\n")[:-1]:
        kind, data = "piece", []
        for line in block.split("\n"):
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
        if data:
            found.append((kind, json.loads("\n".join(data))))
    return found


def test_stream_sends_pieces_and_their_end():
    service = EchoService()
    service.pieces.append(b'{\n"token":\r\n "c"}')
    response = post("/v1/models/iris:stream", {"row": "begin", "options": {"n": 2}}, service)
    assert response.headers["content-type"] == "text/event-stream"
    assert events_of(response.text) == [
        *(("piece", {"token": letter}) for letter in "abc"),
        ("end", {"pieces": 3}),
    ]
    assert (service.calls[0].rows, service.calls[0].options) == (b'["begin"]', {"n": 2})
    assert service.closed == 1


def test_stream_that_fails_before_its_first_piece_has_the_status():
    service = EchoService()
    service.pieces = [ServingError("Asleep.", 503, "cold", 2.0)]
    response = post("/v1/models/iris:stream", [1], service)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert service.closed == 1


@pytest.mark.parametrize(
    ("error", "code"), [(ServingError("Lost.", 500, "worker_lost"), "worker_lost"), (ValueError("x"), "internal")]
)
def test_stream_that_fails_in_between_ends_with_an_error(error, code):
    service = EchoService()
    service.pieces = [b"1", error]
    found = events_of(post("/v1/models/iris:stream", [1], service).text)
    assert found[0] == ("piece", 1)
    assert (found[1][0], found[1][1]["error"]["code"]) == ("error", code)


def test_stream_whose_first_piece_takes_too_long_is_given_up():
    service = EchoService()
    service.pieces = [30.0, b"1"]
    response = post("/v1/models/iris:stream", [1], service, settings=HttpSettings(max_timeout=0.05))
    assert response.status_code == 504
    assert service.closed == 1


@pytest.mark.parametrize("body", [[1, 2], [], {"rows": [1, 2]}])
def test_stream_takes_one_row(body):
    response = post("/v1/models/iris:stream", body)
    assert response.status_code == 400
    assert "one row" in response.json()["error"]["message"]


def test_stream_beats_while_a_piece_takes_its_time(monkeypatch):
    monkeypatch.setattr("cnflow.serving.http.event_stream.BEAT", 0.02)
    service = EchoService()
    service.pieces = [b"1", 0.1, b"2"]
    text = post("/v1/models/iris:stream", [1], service).text
    assert ": wait\n\n" in text
    assert [each[1] for each in events_of(text)] == [1, 2, {"pieces": 2}]


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
@pytest.mark.parametrize("path", ["/readyz", "/v2/health/ready"])
def test_ready_is_a_status_for_probes(is_ready, status, path):
    service = EchoService()
    service.is_ready = is_ready
    assert ask("GET", path, service).status_code == status
    assert ask("GET", path.replace("ready", "live").replace("livez", "healthz"), service).status_code == 200


def test_models_are_listed_and_shown():
    assert ask("GET", "/v1/models").json()["models"] == ["iris"]
    found = ask("GET", "/v1/models/iris").json()
    assert (found["name"], found["ready"], [each["version"] for each in found["versions"]]) == (
        "iris",
        True,
        ["v1", "v2"],
    )


@pytest.mark.parametrize("path", ["/v1/models/irs", "/v2/models/irs", "/v2/models/irs/ready"])
def test_unknown_model_is_answered_with_the_nearest(path):
    response = ask("GET", path)
    assert response.status_code == 404
    assert "Did you mean 'iris'?" in response.text


def test_address_that_is_none_says_where_models_are():
    response = ask("GET", "/v1/model")
    assert response.status_code == 404
    assert "/v1/models" in response.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models/iris:predict"), ("POST", "/v1/models")])
def test_wrong_method_says_so(method, path):
    response = ask(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "wrong_method")
    assert "allow" in response.headers


def test_wrong_method_is_answered_with_the_right_one():
    for path, asked in (("/v1/models/iris:predict", "GET"), ("/v1/models/iris@v1:stream", "GET")):
        response = ask(asked, path)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert response.json()["error"]["message"] == f"'{path}' takes POST, not {asked}."


def test_verb_that_models_do_not_have_is_nothing():
    response = post("/v1/models/iris:classify", [1])
    assert response.status_code == 404
    assert ":predict or :stream" in response.json()["error"]["message"]


def test_description_has_the_schemas_of_rows():
    found = ask("GET", "/openapi.json").json()
    row = found["components"]["schemas"]["iris.row"]
    assert row["properties"]["petal"]["$ref"] == "#/components/schemas/iris.row.Petal"
    assert found["paths"]["/v1/models/iris:predict"]["post"]["description"] == "Names flowers."
    assert "/v1/models/iris:stream" in found["paths"]
    assert msgspec.json.encode(found).count(b"$defs") == 0


def test_page_loads_nothing_from_elsewhere():
    page = ask("GET", "/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/docs", "/docs.js", "/docs.css"):
        text = ask("GET", path).text
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    assert ask("GET", "/docs", settings=HttpSettings(docs=False)).status_code == 404


class Admin:
    def __init__(self):
        self.seen = []

    async def set_weights(self, model, weights):
        self.seen.append(("weights", model, weights))
        return True

    async def set_shadow(self, model, shares):
        self.seen.append(("shadow", model, shares))

    async def roll(self, model, version):
        if version == "v9":
            raise ServingError("No version v9.", 404, "version_not_found")
        self.seen.append(("roll", model, version))
        return version != "slow"

    async def roll_back(self, model):
        self.seen.append(("back", model))
        return True

    async def drain(self):
        self.seen.append(("drain",))


KEYS = HttpSettings(api_keys={"ann": "ann-key-1", "root": "root-key-1"}, admin_keys=["root"])


def test_admin_changes_versions_with_an_admins_key():
    admin = Admin()

    def change(path, body, key="root-key-1"):
        return post(f"/admin/{path}", body, settings=KEYS, admin=admin, headers={"x-api-key": key}).status_code

    assert change("models/iris:weights", {"weights": {"v1": 9, "v2": 1}}) == 200
    assert change("models/iris:shadow", {"shares": {"v2": 0.5}}) == 200
    assert change("models/iris:roll", {"version": "v2"}) == 200
    assert change("models/iris:back", {}) == 200
    assert change("drain", {}) == 200
    assert [each[0] for each in admin.seen] == ["weights", "shadow", "roll", "back", "drain"]
    assert change("models/iris:roll", {"version": "v9"}) == 404
    assert change("models/iris:weights", {"weights": {"v1": -1}}) == 400
    assert change("models/iris:weights", {"wights": {}}) == 400
    assert change("drain", {}, key="ann-key-1") == 403
    assert post("/admin/drain", {}, admin=admin).status_code == 403
    assert len(admin.seen) == 5
    assert change("models/iris:roll", {"version": "slow"}) == 202, "it goes on"


def test_keys_are_wanted_and_name_their_caller():
    service = EchoService()

    def status(path="/v1/models/iris:predict", **headers):
        return ask("POST" if ":" in path else "GET", path, service, settings=KEYS, content=b"[1]", headers=headers)

    assert status().status_code == 401
    assert status().headers["www-authenticate"] == "Bearer"
    assert "not known" in status(authorization="Bearer ann-key-2").json()["error"]["message"]
    assert status(authorization="Bearer ann-key-1").status_code == 200
    assert status(authorization="bearer  ann-key-1 ").status_code == 200
    assert status(**{"x-api-key": "ann-key-1"}).status_code == 200
    assert status(authorization="Basic YW5uLWtleS0x").status_code == 401
    assert {each.client for each in service.calls} == {"ann"}
    assert status("/v1/models").status_code == 401
    assert status("/openapi.json").status_code == 401
    assert [status(path).status_code for path in ("/healthz", "/readyz", "/v2/health/ready", "/docs")] == [200] * 4
    assert isinstance(status("/v2").json()["error"], str)


@pytest.mark.parametrize(
    ("settings", "host", "origin", "status"),
    [
        ({}, "127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ({}, "localhost:8000", "http://localhost:8000", 200),
        ({}, "127.0.0.1:8000", "https://evil.example", 403),
        ({}, "rebound.example:8000", "http://rebound.example:8000", 403),
        ({}, "127.0.0.1:8000", "null", 403),
        ({"allow_origins": ["https://shop.example"]}, "127.0.0.1:8000", "https://shop.example", 200),
        ({"allow_origins": ["*"]}, "127.0.0.1:8000", "https://evil.example", 200),
    ],
)
def test_scripts_of_other_sites_are_kept_out(settings, host, origin, status):
    headers = {"host": host, "origin": origin}
    response = post("/v1/models/iris:predict", [1], settings=HttpSettings(**settings), headers=headers)
    assert response.status_code == status
    allowed = response.headers.get("access-control-allow-origin")
    assert allowed == (origin if settings else None)


def test_browser_is_told_what_it_may_send():
    headers = {"origin": "https://shop.example", "access-control-request-headers": "x-api-key"}
    settings = HttpSettings(allow_origins=["https://shop.example"], api_keys={"a": "long-enough"})
    response = ask("OPTIONS", "/v1/models/iris:predict", settings=settings, headers=headers)
    assert response.status_code == 204
    assert response.headers["access-control-allow-headers"] == "x-api-key"
    assert ask("OPTIONS", "/v1/models", headers=headers).status_code == 403


def test_cancelled_server_task_is_not_swallowed():
    service = EchoService()
    service.delay = 60.0
    app = build_app(service, HttpSettings())

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            call = asyncio.ensure_future(client.post("/v1/models/iris:predict", content=b"[1]"))
            await asyncio.sleep(0.05)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            return call.cancelled()

    assert asyncio.run(asked())
    assert service.cancelled == 1
