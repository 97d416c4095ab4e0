"""The common core of the stand-ins: a process that queues jobs and runs them; standard library only.

Started by `Standin`, with its spool folder as argument. The front ends call `ask`; the server answers one JSON object
per connection. The spool holds ``config.json`` (see `CONFIG`), the jobs' scripts and the socket. While there is a file
``down`` in it, front ends get no connection, as if the scheduler were not running; jobs go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

CONFIG = {"nodes": 4, "slots": 64, "queues": {"workq": None, "short": 60}, "accounts": ["physics"], "kill_delay": 3.0}
"""Nodes are called node1, node2, ...; queues have their longest walltime in seconds; a job that exceeds its own gets
SIGTERM, and SIGKILL `kill_delay` seconds later."""

QUEUED, HELD, RUNNING, ENDED = "queued", "held", "running", "ended"
FINISHED, WALLTIME, CANCELLED, FAILED = "finished", "walltime", "cancelled", "failed"


class SchedulerDownError(Exception):
    """The scheduler does not answer."""


@dataclass
class Job:
    """One job, or one element of an array."""

    number: int
    name: str
    script: str
    output: str
    """May hold ``{number}`` and ``{index}``."""

    index: int | None = None
    nodes: int = 1
    cpus: int = 1
    walltime: float | None = None
    queue: str = ""
    account: str = ""
    held: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    """Values may hold ``{number}``, ``{index}``, ``{hostfile}`` and ``{hosts}``."""

    options: dict[str, str] = field(default_factory=dict)
    """Whatever the front end wants to print again."""

    owner: str = ""
    state: str = QUEUED
    reason: str = ""
    never: bool = False
    """No node, or no number of them, has what the job asks for."""

    end: str = ""
    """How it ended: finished, walltime, cancelled, failed (its output could not be opened)."""

    exit_code: int | None = None
    """Negative for a signal."""

    hosts: list[str] = field(default_factory=list)
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None
    killed: float | None = None
    """When SIGTERM was sent."""


class Scheduler:
    """Decides which jobs run, and runs them."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.config = {**CONFIG, **json.loads((spool / "config.json").read_text())}
        self.jobs: list[Job] = []
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # by place in jobs
        self.number = 1000
        self.free = {f"node{n + 1}": self.config["slots"] for n in range(self.config["nodes"])}

    def submit(self, request: dict) -> dict:
        """Queue a job, or ``size`` elements numbered from ``first``."""
        size, first = request.pop("size", None), request.pop("first", 0)
        self.number += 1
        script = self.spool / f"{self.number}.script"
        script.write_text(request.pop("script"))
        script.chmod(0o700)
        owner = pwd.getpwuid(os.getuid()).pw_name
        for index in [None] if size is None else range(first, first + size):
            job = Job(**request, number=self.number, index=index, script=str(script), owner=owner)
            job.state = HELD if job.held else QUEUED
            job.submitted = time.time()
            self.jobs.append(job)
        return {"number": self.number}

    def list(self, request: dict) -> dict:
        """All jobs, those that ended too, in the order of submission."""
        return {"jobs": [asdict(job) for job in self.jobs], "config": self.config, "now": time.time()}

    def cancel(self, request: dict) -> dict:
        """End the job ``number``, or its element ``index``; say what was found: cancelled, ended or unknown."""
        found = [(place, job) for place, job in enumerate(self.jobs) if job.number == request["number"]]
        if request.get("index") is not None:
            found = [(place, job) for place, job in found if job.index == request["index"]]
        if not found:
            return {"answer": "unknown"}
        alive = [(place, job) for place, job in found if job.state != ENDED]
        for place, job in alive:
            if job.state == RUNNING:
                self._kill(place, job, CANCELLED)
            else:
                job.state, job.end, job.ended = ENDED, CANCELLED, time.time()
        return {"answer": "cancelled" if alive else "ended"}

    def turn(self) -> None:
        """Note the ends of jobs, enforce limits, start what fits."""
        for place, process in list(self.processes.items()):
            if process.poll() is not None:
                self._on_exit(place, process.returncode)
        now = time.time()
        for place, job in enumerate(self.jobs):
            if job.state == RUNNING:
                over = job.walltime is not None and now > job.started + job.walltime
                if over and job.killed is None:
                    self._kill(place, job, WALLTIME)
                elif job.killed is not None and now > job.killed + self.config["kill_delay"]:
                    self._signal(place, signal.SIGKILL)
            elif job.state == QUEUED:
                self._start(place, job, now)

    def _start(self, place: int, job: Job, now: float) -> None:
        fitting = [host for host, slots in self.free.items() if slots >= job.cpus][: job.nodes]
        if len(fitting) < job.nodes:
            job.reason = "Not enough free nodes"
            job.never = job.nodes > len(self.free) or job.cpus > self.config["slots"]
            return
        hostfile = self.spool / f"{job.number}.{job.index}.hosts"
        hostfile.write_text("".join(f"{host}\n" for host in fitting))
        texts = {"number": job.number, "index": job.index, "hostfile": hostfile, "hosts": " ".join(fitting)}
        user = pwd.getpwuid(os.getuid())
        environment = {
            "HOME": user.pw_dir,
            "USER": user.pw_name,
            "LOGNAME": user.pw_name,
            "SHELL": "/bin/sh",
            "PATH": f"{self.spool / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            **{name: value.format(**texts) for name, value in job.environment.items()},
        }
        job.hosts, job.reason, job.started = fitting, "", now
        try:
            with Path(job.output.format(**texts)).open("ab") as output:
                self.processes[place] = subprocess.Popen(
                    [job.script],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    cwd=user.pw_dir,
                    start_new_session=True,
                )
        except OSError as error:
            job.state, job.end, job.ended, job.exit_code, job.reason = ENDED, FAILED, now, 1, str(error)
            return
        job.state = RUNNING
        for host in fitting:
            self.free[host] -= job.cpus

    def _on_exit(self, place: int, code: int) -> None:
        self._signal(place, signal.SIGKILL)  # what is left of its session
        del self.processes[place]
        job = self.jobs[place]
        job.state, job.ended, job.exit_code = ENDED, time.time(), code
        job.end = job.end or FINISHED
        for host in job.hosts:
            self.free[host] += job.cpus

    def _kill(self, place: int, job: Job, end: str) -> None:
        if job.killed is None:
            job.killed, job.end = time.time(), end
            if end == WALLTIME:
                self._tell(job)
            self._signal(place, signal.SIGTERM)

    def _tell(self, job: Job) -> None:
        """Write the front end's line about the walltime to the job's output."""
        if line := job.options.get("walltime_line", ""):
            with Path(job.output.format(number=job.number, index=job.index)).open("a") as output:
                output.write(line + "\n")

    def _signal(self, place: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[place].pid, number)

    def close(self) -> None:
        """Kill what runs."""
        for place in self.processes:
            self._signal(place, signal.SIGKILL)


def serve(spool: Path) -> None:
    """Run until the process that started this one is gone, or SIGTERM."""
    scheduler, parent = Scheduler(spool), os.getppid()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        server.bind(str(spool / "starting"))
        server.listen(64)
        (spool / "starting").rename(spool / "socket")
        selector.register(server, selectors.EVENT_READ)
        try:
            while not stopped and os.getppid() == parent:
                scheduler.turn()
                if selector.select(0.05):
                    _answer(scheduler, server)
        finally:
            scheduler.close()


def _answer(scheduler: Scheduler, server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(10)
        with connection.makefile("rw") as stream:
            request = json.loads(stream.readline())
            answer = getattr(scheduler, request.pop("order"))(request)
            stream.write(json.dumps(answer) + "\n")


def ask(spool: Path, order: str, **request: object) -> dict:
    """Send *order* (submit, list, cancel) and return the answer.

    Raises:
        SchedulerDownError: no scheduler answers.
    """
    if (spool / "down").exists():
        raise SchedulerDownError
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(spool / "socket"))
            with connection.makefile("rw") as stream:
                stream.write(json.dumps({"order": order, **request}) + "\n")
                stream.flush()
                return json.loads(stream.readline())
    except OSError as error:
        raise SchedulerDownError from error


def jobs_of(spool: Path) -> list[Job]:
    """All jobs, in the order of submission.

    Raises:
        SchedulerDownError: no scheduler answers.
    """
    return [Job(**job) for job in ask(spool, "list")["jobs"]]


class Standin:
    """A running stand-in, for tests; end it by `close`.

    Args:
        spool: an empty folder, whose path must be short enough for a socket (100 characters).
        front_end: file of the front end, which is called with the spool, the program's name and its arguments.
        programs: names of the commands.
        config: differences from `CONFIG`.

    Attributes:
        bin: folder of the commands, for PATH.
    """

    def __init__(self, spool: Path, front_end: Path, programs: list[str], **config: object) -> None:
        self.spool, self.bin = spool, spool / "bin"
        self.bin.mkdir(parents=True)
        (spool / "config.json").write_text(json.dumps(config))
        for name in programs:
            command = shlex.join([sys.executable, "-I", "-S", str(front_end), str(spool), name])
            (self.bin / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (self.bin / name).chmod(0o755)
        with (spool / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(spool)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while not (spool / "socket").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The stand-in does not start: {(spool / 'log').read_text()}")
            time.sleep(0.02)

    def stop_answering(self) -> None:
        """Let commands fail as if the scheduler were down; jobs go on."""
        (self.spool / "down").touch()

    def answer_again(self) -> None:
        """Undo `stop_answering`."""
        (self.spool / "down").unlink()

    def jobs(self) -> list[Job]:
        """All jobs, in the order of submission."""
        return jobs_of(self.spool)

    def close(self) -> None:
        """End the scheduler and its jobs."""
        self._process.terminate()
        self._process.wait(30)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
