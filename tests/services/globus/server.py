"""A stand-in for Globus Auth and Globus Transfer, for the real SDK: a transfer copies files between local folders.

::

    python server.py --port 21530 --collection UUID=/folder[:kind] ...

A collection is of a kind: ``mapped`` (Globus Connect Server's, needs the consent data_access), ``ha`` (mapped with high
assurance), ``guest`` or ``gcp`` (Globus Connect Personal). Faults are set for transfers whose paths hold a text::

    POST /_control/fault {"path": "x.bin", "code": "ENDPOINT_ERROR", "times": 1, "for": 0.5}     passes after 0.5 s
                         {"path": "x.bin", "code": "QUOTA_EXCEEDED", "fatal": true}              fails the transfer
                         {"path": "x.bin", "code": "EXPIRED", "status": "INACTIVE"}              waits for a login
                         {"path": "x.bin", "http": 503, "when": "after"}  the submission is lost, or its reply (after)
    POST /_control/forget {"client": "ID"}      the access tokens of a client are no longer valid
    GET  /_control/transfers?CLIENT             documents of its transfers

Needs PyJWT and cryptography, which the SDK brings. What it answers follows the SDK and its documentation, not the
service itself.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import signal
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ME = "8ca28797-3541-4a5d-a264-05b00f91e608"
TRANSFER = "transfer.api.globus.org"
TRANSFER_SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
ENTITY_TYPES = {
    "mapped": "GCSv5_mapped_collection",
    "ha": "GCSv5_mapped_collection",
    "guest": "GCSv5_guest_collection",
    "gcp": "GCP_mapped_collection",
}
OAUTH = {"authorization": "authorize", "token": "token"}
SKIPPED = {"FILE_NOT_FOUND", "PERMISSION_DENIED"}


def stamp(moment=None):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def split_scopes(text):
    """Scopes that *text* names, with those that each depends on: 'a b[c *d]' -> {'a': '', 'b': 'c *d'}."""
    found, depth, word = {}, 0, ""
    for letter in text + " ":
        depth += (letter == "[") - (letter == "]")
        if letter == " " and depth == 0:
            if word:
                root, _, below = word.partition("[")
                found[root] = below.removesuffix("]")
            word = ""
        else:
            word += letter
    return found


def server_of(scope):
    if scope in {"openid", "profile", "email"} or "auth.globus.org:" in scope:
        return "auth.globus.org"
    return TRANSFER if TRANSFER in scope else scope.split("/scopes/")[-1].split("/")[0]


class Auth:
    """Tokens and consents."""

    def __init__(self, url):
        self.url = url
        self.codes, self.tokens, self.refreshes, self.consents = {}, {}, {}, {}

    def grant(self, scopes, client, *, is_renewable, is_openid):
        servers, consents = {}, self.consents.setdefault(client, set())
        for root, below in scopes.items():
            servers.setdefault(server_of(root), []).append(root)
            consents.add((root,))
            consents.update((root, each.split("[")[0]) for each in below.replace("*", "").split())
        tokens = [self.token(server, roots, client, is_renewable=is_renewable) for server, roots in servers.items()]
        tokens.sort(key=lambda token: token["resource_server"] != "auth.globus.org")
        first, *rest = tokens
        first["other_tokens"] = rest
        if is_openid:
            now = int(time.time())
            claims = {"sub": ME, "iss": self.url, "aud": client, "iat": now, "exp": now + 3600, "name": "Me"}
            first["id_token"] = jwt.encode(claims | {"preferred_username": "me@example.org"}, KEY, algorithm="RS512")
        return first

    def token(self, server, roots, client, *, is_renewable):
        name, life = "tok-" + uuid.uuid4().hex, 172800
        self.tokens[name] = client
        found = {"access_token": name, "scope": " ".join(roots), "expires_in": life, "token_type": "Bearer"}
        found |= {"resource_server": server, "state": "_default"}
        if is_renewable:
            found["refresh_token"] = "ref-" + uuid.uuid4().hex
            self.refreshes[found["refresh_token"]] = (dict.fromkeys(roots, ""), client)
        return found

    def answer(self, form, basic):
        kind, client = form["grant_type"], form.get("client_id") or basic
        if kind == "authorization_code":
            if form["code"] not in self.codes:
                return 400, {"error": "invalid_grant"}
            asked = self.codes.pop(form["code"])
            proof = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
            if asked.get("code_challenge") and proof != asked["code_challenge"]:
                return 400, {"error": "invalid_grant", "error_description": "PKCE"}
            scopes, is_renewable = split_scopes(asked["scope"]), asked.get("access_type") == "offline"
            return 200, self.grant(scopes, asked["client_id"], is_renewable=is_renewable, is_openid="openid" in scopes)
        if kind == "client_credentials":
            return 200, self.grant(split_scopes(form["scope"]), client, is_renewable=False, is_openid=False)
        if kind == "refresh_token" and form["refresh_token"] in self.refreshes:
            scopes, client = self.refreshes[form["refresh_token"]]
            found = self.grant(scopes, client, is_renewable=False, is_openid=False)
            return 200, found | {"refresh_token": form["refresh_token"]}
        return 400, {"error": "invalid_grant"}

    def rows(self, client):
        rows, ids = [], {}
        for path in sorted(self.consents.get(client, ()), key=len):
            ids[path] = len(ids) + 1
            rows.append(
                {
                    "id": ids[path],
                    "dependency_path": [ids[path[: end + 1]] for end in range(len(path))],
                    "scope_name": path[-1],
                    "scope": str(uuid.uuid5(uuid.NAMESPACE_URL, path[-1])),
                    "client": client,
                    "status": "approved",
                    **dict.fromkeys(("created", "updated", "last_used"), stamp()),
                    "allows_refresh": True,
                    "auto_approved": False,
                    "atomically_revocable": True,
                    "effective_identity": ME,
                }
            )
        return rows


class TransferFailedError(Exception):
    """A transfer, or one of its items, fails with this code."""


class Transfer:
    """Transfers between folders, and the documents that describe them."""

    def __init__(self, collections, auth):
        self.auth = auth
        self.tasks, self.events, self.skipped, self.copied = {}, {}, {}, {}
        self.submissions, self.faults, self.lock = {}, [], threading.RLock()
        self.collections = {}
        for text in collections:
            name, _, rest = text.partition("=")
            folder, _, kind = rest.partition(":")
            self.collections[name] = (Path(folder), kind or "mapped")

    def problem(self, status, code, message, **more):
        return status, {"code": code, "message": message, "request_id": uuid.uuid4().hex[:9], "resource": "/", **more}

    def place(self, collection, path):
        folder = self.collections[collection][0]
        full = Path(os.path.normpath(f"{folder}/{path.lstrip('/')}"))
        if full != folder and folder not in full.parents:
            raise PermissionError(path)
        return full

    def missing_consent(self, client, collections):
        needed = [
            f"https://auth.globus.org/scopes/{each}/data_access"
            for each in collections
            if self.collections[each][1] == "mapped"
        ]
        missing = [each for each in needed if (TRANSFER_SCOPE, each) not in self.auth.consents.get(client, ())]
        if not missing:
            return None
        scopes = [f"{TRANSFER_SCOPE}[*{each}]" for each in missing]
        return self.problem(403, "ConsentRequired", "Missing required data_access consent", required_scopes=scopes)

    def fault(self, body, when):
        text = json.dumps(body, ensure_ascii=False)
        for fault in self.faults:
            if fault["times"] > 0 and fault["path"] in text and fault.get("when", "during") == when:
                fault["times"] -= 1
                return fault
        return None

    def submit(self, body, client):
        ends = [body["source_endpoint"], body["destination_endpoint"]]
        for end in ends:
            if end not in self.collections:
                return self.problem(404, "EndpointNotFound", f"No such endpoint '{end}'")
        if missing := self.missing_consent(client, ends):
            return missing
        if not body.get("DATA"):
            return self.problem(400, "ClientError.BadRequest.NoTransferItems", "A transfer requires an item")
        with self.lock:
            if fault := self.fault(body, "before"):
                return self.problem(fault["http"], "ServiceUnavailable", "injected: not accepted")
            submission, code = body.get("submission_id"), "Accepted"
            if submission in self.submissions:
                name, code = self.submissions[submission], "Duplicate"
            else:
                name = self.submissions[submission] = str(uuid.uuid4())
                self.begin(name, body, ends)
                self.tasks[name]["client"] = client
            if fault := self.fault(body, "after"):
                return self.problem(fault["http"], "ServiceUnavailable", "injected: the reply is lost")
        answer = {"DATA_TYPE": "transfer_result", "code": code, "message": "ok", "request_id": "r"}
        answer |= {"resource": "/transfer", "submission_id": submission, "task_id": name}
        return 202 if code == "Accepted" else 200, answer

    def begin(self, name, body, ends):
        counts = ("files", "files_transferred", "bytes_transferred", "subtasks_skipped_errors", "faults")
        self.tasks[name] = {
            "DATA_TYPE": "task",
            "task_id": name,
            "type": "TRANSFER",
            "status": "ACTIVE",
            "nice_status": "OK",
            "is_ok": True,
            "label": body.get("label"),
            "request_time": stamp(),
            "completion_time": None,
            "fatal_error": None,
            "source_endpoint_id": ends[0],
            "destination_endpoint_id": ends[1],
            **dict.fromkeys(counts, 0),
        }
        self.events[name], self.skipped[name], self.copied[name] = [], [], []
        threading.Thread(target=self.work, args=(name, body), daemon=True).start()

    def note(self, name, code, details, *, is_error):
        event = {"DATA_TYPE": "event", "code": code, "is_error": is_error, "details": details, "time": stamp()}
        self.events[name].append(event | {"description": code.replace("_", " ").lower()})

    def work(self, name, body):
        task = self.tasks[name]
        self.note(name, "STARTED", "started", is_error=False)
        try:
            if fault := self.fault(body, "during"):
                self.suffer(name, fault)
            for item in body["DATA"]:
                if task["status"] != "ACTIVE":
                    return
                try:
                    self.copy_item(name, body, item)
                except TransferFailedError as error:
                    code, _, details = str(error).partition(": ")
                    if not (body.get("skip_source_errors") and code in SKIPPED):
                        raise
                    task["subtasks_skipped_errors"] += 1
                    row = {"error_code": code, "error_details": details, "source_path": item["source_path"]}
                    self.skipped[name].append(row)
            task.update(status="SUCCEEDED", nice_status=None, is_ok=None)
            self.note(name, "SUCCEEDED", "done", is_error=False)
        except TransferFailedError as error:
            code, _, details = str(error).partition(": ")
            self.note(name, code, details, is_error=True)
            fatal = {"code": code, "description": "the transfer failed"}
            task.update(status="FAILED", nice_status=code, is_ok=False, fatal_error=fatal)
        task["completion_time"] = stamp()

    def suffer(self, name, fault):
        task, code = self.tasks[name], fault["code"]
        details = fault.get("details", "injected")
        if fault.get("fatal"):
            raise TransferFailedError(f"{code}: {details}")
        self.note(name, code, details, is_error=True)
        task.update(nice_status=code, is_ok=False, faults=task["faults"] + 1, status=fault.get("status", "ACTIVE"))
        time.sleep(fault.get("for", 1))
        task["is_ok"] = True

    def copy_item(self, name, body, item):
        try:
            source = self.place(body["source_endpoint"], item["source_path"])
            target = self.place(body["destination_endpoint"], item["destination_path"])
            if source.is_dir() and not item.get("recursive"):
                raise TransferFailedError(f"IS_A_DIRECTORY: {item['source_path']}")
            files = [each for each in source.rglob("*") if each.is_file()] if source.is_dir() else [source]
            for file in files:
                self.copy_file(name, file, target / file.relative_to(source) if source.is_dir() else target, item)
        except FileNotFoundError as error:
            raise TransferFailedError(f"FILE_NOT_FOUND: No such file or directory {item['source_path']}") from error
        except PermissionError as error:
            raise TransferFailedError(f"PERMISSION_DENIED: {item['source_path']}") from error
        row = {"source_path": item["source_path"], "destination_path": item["destination_path"]}
        self.copied[name].append(row)

    def copy_file(self, name, source, target, item):
        wanted = item.get("external_checksum")
        if wanted and hashlib.new(item["checksum_algorithm"], source.read_bytes()).hexdigest() != wanted.lower():
            raise TransferFailedError(f"VERIFY_CHECKSUM: the checksum of {item['source_path']} is another")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{uuid.uuid4().hex}.part")
        shutil.copy2(source, partial)
        partial.replace(target)
        task = self.tasks[name]
        task["files"] += 1
        task["files_transferred"] += 1
        task["bytes_transferred"] += target.stat().st_size

    def cancel(self, name):
        if self.tasks[name]["status"] not in {"ACTIVE", "INACTIVE"}:
            return 200, {"DATA_TYPE": "result", "code": "TaskComplete", "message": "The task has completed."}
        fatal = {"code": "CANCELED", "description": "canceled by user"}
        self.tasks[name].update(status="FAILED", nice_status="CANCELED", fatal_error=fatal, completion_time=stamp())
        self.note(name, "CANCELED", "canceled by user", is_error=True)
        return 200, {"DATA_TYPE": "result", "code": "Canceled", "message": "The task has been cancelled."}

    def endpoint(self, name):
        kind = self.collections[name][1]
        found = {"DATA_TYPE": "endpoint", "id": name, "display_name": f"collection {name[:4]}"}
        return 200, found | {"entity_type": ENTITY_TYPES[kind], "high_assurance": kind == "ha"}

    def answer(self, method, path, query, body, client):  # noqa: PLR0911 - one case a line
        rows = {"event_list": self.events, "skipped_errors": self.skipped, "successful_transfers": self.copied}
        match [method, *path.strip("/").split("/")[1:]]:
            case ["GET", "submission_id"]:
                return 200, {"DATA_TYPE": "submission_id", "value": str(uuid.uuid4())}
            case ["POST", "transfer"]:
                return self.submit(body, client)
            case [_, "task", name, *_] if name not in self.tasks:
                return self.problem(404, "TaskNotFound", f"No task {name}")
            case ["GET", "task", name]:
                return 200, self.tasks[name]
            case ["GET", "task", name, "event_list" | "skipped_errors" | "successful_transfers" as what]:
                found = rows[what][name][::-1]
                return 200, {"DATA_TYPE": what, "DATA": found, "total": len(found), "next_marker": None}
            case ["POST", "task", name, "cancel"]:
                return self.cancel(name)
            case ["GET", "endpoint", name] if name in self.collections:
                return self.endpoint(name)
            case ["GET", "endpoint", name]:
                return self.problem(404, "EndpointNotFound", f"No such endpoint '{name}'")
        return self.problem(404, "NotFound", f"not in this stand-in: {method} {path}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    auth: Auth
    transfer: Transfer

    def log_message(self, *_):
        pass

    def reply(self, status, document, location=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/_control/"):
            return self.reply(200, self.control(url.path, json.loads(raw or b"{}"), url.query))
        if url.path.startswith(("/v2/oauth2/", "/.well-known/", "/jwk.json")):
            return self.public(url.path, query, raw)
        client = self.auth.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if client is None:
            words = {"code": "AuthenticationFailed", "message": "Token is not active", "request_id": "r"}
            return self.reply(401, words | {"resource": url.path})
        if url.path.endswith("/consents"):
            return self.reply(200, {"consents": self.auth.rows(client)})
        return self.reply(*self.transfer.answer(self.command, url.path, query, json.loads(raw or b"null"), client))

    def control(self, path, body, client):
        if path == "/_control/transfers":
            return [task for task in self.transfer.tasks.values() if task["client"] == client]
        if path == "/_control/fault":
            self.transfer.faults.append({"times": 1, **body})
        elif path == "/_control/forget":
            for token in [token for token, client in self.auth.tokens.items() if client == body["client"]]:
                del self.auth.tokens[token]
        return {}

    def public(self, path, query, raw):
        auth, url = self.auth, self.auth.url
        authorization = self.headers.get("Authorization", "")
        basic = base64.b64decode(authorization[6:]).decode().split(":")[0] if "Basic " in authorization else None
        form = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
        match path:
            case "/.well-known/openid-configuration":
                ends = {
                    "authorization_endpoint": f"{url}/v2/oauth2/authorize",
                    "token_endpoint": f"{url}/v2/oauth2/token",
                }
                more = {"jwks_uri": f"{url}/jwk.json", "id_token_signing_alg_values_supported": ["RS512"]}
                self.reply(200, {"issuer": url, **ends, **more})
            case "/jwk.json":
                public = KEY.public_key().public_numbers()
                key = {"kty": "RSA", "alg": "RS512", "use": "sig", "n": number(public.n), "e": number(public.e)}
                self.reply(200, {"keys": [key]})
            case "/v2/oauth2/authorize":
                code = uuid.uuid4().hex
                auth.codes[code] = query
                location = f"{query['redirect_uri']}?code={code}&state={query.get('state', '')}"
                self.reply(302, {"code": code}, location)
            case "/v2/oauth2/token":
                self.reply(*auth.answer(form, basic))
            case "/v2/oauth2/token/revoke":
                auth.tokens.pop(form.get("token"), None)
                self.reply(200, {"active": False})
            case _:
                self.reply(404, {"error": "not_found"})

    do_POST = do_GET  # noqa: N815 - the base class calls it so


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--collection", action="append", default=[])
    options = parser.parse_args()
    Handler.auth = Auth(f"http://127.0.0.1:{options.port}")
    Handler.transfer = Transfer(options.collection, Handler.auth)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
