"""A stand-in of EC2 whose instances run: moto answers the API, and a container plays each instance.

::

    RunInstances ──> Layer ──> moto      tokens obeyed, capacity and faults of tests, one instance each
                       │
                       └──> Fleet ──boot──> pending ──> running ──(halted, interrupted, terminated)──> terminated
    POST /_control/VERB {"key": access key of a test, ...}

In front of moto stands a layer with what moto lacks: tokens, capacity, faults, console output, states that last,
machines that halt themselves, interruptions of spot machines. Tests are told apart by the access keys of their calls.
"""

import argparse
import base64
import gzip
import json
import os
import re
import signal
import sys
import threading
import time
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.services.ec2.faults import Faults
from tests.services.machines.metadata import Facts
from tests.services.machines.vms import USUAL, Kind, Machines

ACCOUNT = "123456789012"
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>'
    "</Error></Errors><RequestID>control</RequestID></Response>"
)
CONSOLE = (
    '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>control</requestId>'
    "<instanceId>{id}</instanceId><timestamp>2026-01-01T00:00:00.000Z</timestamp><output>{text}</output>"
    "</GetConsoleOutputResponse>"
)
MISMATCH = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
SPOT_END = "Server.SpotInstanceTermination"
HALTED = "Client.InstanceInitiatedShutdown"
LIVING = ("pending", "running")
CHANGING = frozenset({"TerminateInstances", "StopInstances"})
FAMILY_IMAGE = "ami-0cf10000000000002"


class Fleet:
    """The machines of moto's instances."""

    def __init__(self, machines):
        self.machines = machines
        self.of, self.lock = {}, threading.RLock()
        self.keys, self.kinds, self.consoles, self.starting = {}, {}, {}, set()

    def instances(self):
        for region in list(get_backend("ec2")[ACCOUNT].values()):
            for reservation in list(region.reservations.values()):
                yield from list(reservation.instances)

    def find(self, one):
        return next(instance for instance in self.instances() if instance.id == one)

    def sweep(self, key=None):
        """Start machines of new instances, and end those of ended ones; instances of halted machines end."""
        running = self.machines.running()
        with self.lock:
            for one in self.instances():
                machine = self.of.get(one.id)
                if one.id not in self.keys:
                    if key is None:
                        continue  # the call that made it has not returned yet
                    self.keys[one.id] = key
                    one._state.name, one._state.code = "pending", 0
                    self.starting.add(one.id)
                    threading.Thread(target=self.boot, args=(one,), daemon=True).start()
                elif machine and one.state in ("terminated", "stopped"):
                    self.end(one, machine)
                elif (
                    machine and one.state == "running" and one.id not in running and time.time() > machine.booted_at + 1
                ):
                    self.halt(one)

    def boot(self, one):
        """Start the machine of an instance; one that was terminated meanwhile is ended by the next sweep."""
        data = base64.b64decode(one.user_data.as_bytes()) if one.user_data else b""
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        if not data.startswith(b"#!"):
            data = b"#!/bin/sh\necho 'user data is no script: ignored'\n"
        facts = Facts(
            name=one.id,
            zone=one.placement.zone,
            region=one.region_name,
            type=one.instance_type,
            is_spot=one.lifecycle == "spot",
            user_data=data,
            tags={tag["key"]: tag["value"] for tag in one.get_tags()},
        )
        try:
            machine = self.machines.start(one.id, data, facts, self.kinds.get(self.keys[one.id], USUAL))
        except Exception as error:  # a thread that ends in silence leaves the instance pending for ever
            sys.stderr.write(f"{one.id} did not boot: {error}\n")
            one.terminate()
            return
        finally:
            self.starting.discard(one.id)
        with self.lock:
            self.of[one.id] = machine
            interface = one.nics[0]
            interface.private_ip_address = machine.address
            interface.public_ip = machine.address if interface.public_ip else None
            if one.state == "pending":
                one._state.name, one._state.code = "running", 16

    def end(self, one, machine):
        """Remove the machine; the instance is shutting down until then."""
        last = (one._state.name, one._state.code)
        one._state.name, one._state.code = ("shutting-down", 32) if last[0] == "terminated" else ("stopping", 64)
        del self.of[one.id]

        def remove():
            self.consoles[one.id] = machine.console()
            machine.remove()
            one._state.name, one._state.code = last

        threading.Thread(target=remove, daemon=True).start()

    def halt(self, one):
        """The machine ended itself."""
        stops = one.instance_initiated_shutdown_behavior != "terminate"
        one.stop() if stops else one.terminate()
        one.state_reason.code = HALTED
        one.state_reason.message = f"{HALTED}: Instance initiated shutdown"

    def interrupt(self, name, after):
        """Take a spot machine back: the notice now, its end *after* seconds."""
        machine = self.of[name]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + after))
        machine.facts.update(spot_action={"action": "terminate", "time": moment})

        def take_back():
            time.sleep(after)
            one = self.find(name)
            with self.lock:
                one.terminate()
                one.state_reason.code, one.state_reason.message = SPOT_END, f"{SPOT_END}: Spot instance termination"
            self.sweep()

        threading.Thread(target=take_back, daemon=True).start()

    def console(self, name):
        machine = self.of.get(name)
        return machine.console() if machine else self.consoles.get(name, b"")

    def watch(self):
        while True:
            time.sleep(0.5)
            try:
                self.sweep()
            except Exception as error:
                sys.stderr.write(f"A sweep failed: {error}\n")


class Layer:
    """The WSGI application: what moto lacks, before moto."""

    def __init__(self, fleet):
        self.fleet, self.faults = fleet, Faults()
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.tokens, self.calls, self.lock = {}, {}, threading.RLock()

    def __call__(self, environ, start):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"]
        if path.startswith("/_control/"):
            answer = self.control(path.removeprefix("/_control/"), json.loads(body or b"{}"))
            return reply(start, 200, json.dumps(answer), "application/json")
        key = key_of(environ)
        form = dict(parse_qsl(body.decode("latin1"), keep_blank_values=True)) if b"Action=" in body else {}
        action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", ".").rpartition(".")[2]
        self.calls.setdefault(key, []).append(action)
        fault = self.faults.take(key, action)
        if fault:
            time.sleep(fault.get("delay", 0))
            if fault.get("drop"):
                environ["werkzeug.socket"].shutdown(2)
                return []
            if not fault.get("after") and "code" in fault:
                return refuse(start, fault)
        if own := self.own(action, form, body):
            return reply(start, 200, *own)
        status, headers, out = self.forward(environ, key, action, form, body)
        if fault and fault.get("after"):
            return refuse(start, {"code": "InternalError", "message": "the reply was lost", "status": 500, **fault})
        start(status, headers)
        return [out]

    def own(self, action, form, body):
        """Answers that moto does not have."""
        if action == "GetConsoleOutput" and form["InstanceId"] in self.fleet.keys:
            text = base64.b64encode(self.fleet.console(form["InstanceId"])).decode()
            return CONSOLE.format(id=form["InstanceId"], text=text), "text/xml"
        if action == "GetParameter" and (name := json.loads(body)["Name"]).startswith("/aws/service/"):
            found = {"Name": name, "Type": "String", "Value": FAMILY_IMAGE, "Version": 1}
            return json.dumps({"Parameter": found}), "application/x-amz-json-1.1"
        if action == "GetServiceQuota":
            quota = {"QuotaCode": json.loads(body)["QuotaCode"], "Value": 32.0}
            return json.dumps({"Quota": quota}), "application/x-amz-json-1.1"
        return None

    def forward(self, environ, key, action, form, body):
        """Answer of moto; of a repeated token, the answer of its first call."""
        if action != "RunInstances" or form.get("DryRun") == "true":
            return self.ask_moto(environ, action, body)
        with self.lock:  # one at a time: tokens and capacity must not race
            token = (key, form.get("ClientToken"))
            asked = {name: value for name, value in form.items() if name != "ClientToken"}
            if token in self.tokens:
                same, kept = self.tokens[token]
                return kept if same == asked else error("IdempotentParameterMismatch", MISMATCH)
            if why := self.faults.room(key, wanted_of(form), self.living(key)):
                return error(*why, status=500)
            answer = self.ask_moto(environ, action, body)
            self.fleet.sweep(key)
            if answer[0].startswith("200"):
                self.tokens[token] = (asked, answer)
                return self.tokens[token][1]
            return answer

    def ask_moto(self, environ, action, body):
        environ = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        answer = []

        def keep(status, headers, *_):
            answer.extend((status, headers))

        out = b"".join(self.moto(environ, keep))
        if action in CHANGING:
            self.fleet.sweep()
        return answer[0], answer[1], out

    def living(self, key):
        return [
            {"zone": one.placement.zone, "type": one.instance_type, "spot": one.lifecycle == "spot"}
            for one in self.fleet.instances()
            if self.fleet.keys.get(one.id) == key and one.state in LIVING
        ]

    def control(self, verb, asked):
        key = asked.pop("key", "")
        if verb == "fault":
            self.faults.add(key, asked)
        elif verb == "limit":
            self.faults.limit(key, asked)
        elif verb == "clear":
            self.faults.clear(key)
        elif verb == "kind":
            self.fleet.kinds[key] = Kind(**{**asked, "lacks": tuple(asked.get("lacks", ()))})
        elif verb == "interrupt":
            self.fleet.interrupt(asked["id"], asked.get("after", 120))
        elif verb == "calls":
            return self.calls.get(key, [])
        elif verb == "machines":
            return [self.described(one) for one in self.fleet.instances() if self.fleet.keys.get(one.id) == key]
        else:
            raise KeyError(verb)
        return {}

    def described(self, one):
        machine = self.fleet.of.get(one.id)
        return {
            "id": one.id,
            "state": one.state,
            "type": one.instance_type,
            "zone": one.placement.zone,
            "is_spot": one.lifecycle == "spot",
            "address": machine.address if machine else "",
            "container": machine.container if machine else "",
            "tags": {tag["key"]: tag["value"] for tag in one.get_tags()},
        }


def key_of(environ):
    found = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else ""


def wanted_of(form):
    """Zone, type and price of the machine that RunInstances asks for."""
    subnet = form.get("SubnetId") or form.get("NetworkInterface.1.SubnetId")
    zone = form.get("Placement.AvailabilityZone", "")
    if subnet:
        for region in list(get_backend("ec2")[ACCOUNT].values()):
            for zones in list(region.subnets.values()):
                zone = next((one.availability_zone for one in zones.values() if one.id == subnet), zone)
    return {
        "zone": zone,
        "type": form.get("InstanceType"),
        "spot": form.get("InstanceMarketOptions.MarketType") == "spot",
    }


def error(code, message, status=400):
    text = ERROR.format(code=code, message=message).encode()
    return f"{status} Error", [("Content-Type", "text/xml"), ("Content-Length", str(len(text)))], text


def refuse(start, fault):
    status, headers, text = error(fault["code"], fault.get("message", "Injected."), fault.get("status", 400))
    if "date" in fault:
        headers.append(("Date", fault["date"]))
    start(status, headers)
    return [text]


def reply(start, status, text, kind):
    data = text.encode()
    start(f"{status} OK", [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--cloud", default="ec2", help="prefix of the containers, and of their network")
    parser.add_argument("--subnet", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image", default="cnflow-machine:2")
    asked = parser.parse_args()
    machines = Machines(asked.cloud, subnet=asked.subnet, folder=asked.folder, image=asked.image)
    machines.remove()
    machines.make_network()
    fleet = Fleet(machines)
    server = make_server(asked.host, asked.port, Layer(fleet), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=fleet.watch, daemon=True).start()

    def end(*_):
        machines.remove()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server.serve_forever()


if __name__ == "__main__":
    main()
