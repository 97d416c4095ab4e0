"""A job of a minute that looks at the site from a compute node.

::

    login node: a listener on a port <────────── connects to each address ────────── node
    site's folder: probe/NAME.sh, NAME.out ─────────────── prints what it finds ──────┘
                       └── read until its last line is there, or the job has ended without it, or time is up: cancelled
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.errors import BlockError, ChannelError
from cnflow.model.finding import Finding, Verdict
from cnflow.providers.batch.dialect import JobRequest
from cnflow.providers.batch.script import Body, render
from cnflow.text import duration
from cnflow.units import Seconds

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.ids import NativeId
    from cnflow.interfaces.channel import Completed
    from cnflow.providers.batch.dialect import Dialect
    from cnflow.sites.folder import SiteFolder

_WALLTIME = Seconds(120.0)
_TIMEOUT = Seconds(600.0)
_LAST = "cnflow-probe end"

LISTENER = """\
import socket, sys, threading
first, last = map(int, sys.argv[1:3])
for port in range(first, last + 1):
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            listener = socket.socket(family)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen()
            break
        except OSError:
            listener.close()
    else:
        continue
    break
else:
    sys.exit("no port between %d and %d is free" % (first, last))
def serve():
    while True:
        link = listener.accept()[0]
        link.sendall(b"cnflow")
        link.close()
threading.Thread(target=serve, daemon=True).start()
print("cnflow-port", listener.getsockname()[1])
sys.stdout.flush()
sys.stdin.read()
"""
"""Python for the login node: answers connections until its stdin ends. Python 3.8, like `CONNECTOR`."""

CONNECTOR = """\
import socket, sys, time
for address in sys.argv[2:]:
    start = time.time()
    try:
        with socket.create_connection((address, int(sys.argv[1])), 10) as link:
            is_ours = link.recv(6) == b"cnflow"
        words = "ok %.1f" % ((time.time() - start) * 1000) if is_ours else "another program answers"
    except Exception as error:
        words = str(error) or type(error).__name__
    print("cnflow-probe address", address, words)
"""

_SCRIPT = """\
echo "cnflow-probe host $(hostname)"
python=$1 code=$2 port=$3 programs=$4; shift 4
for name in $programs; do
  found=$(command -v "$name" 2>/dev/null) && echo "cnflow-probe program $found"
done
"$python" -I -c "$code" "$port" "$@" || echo "cnflow-probe python exit code $?"
echo "cnflow-probe end"
"""


@dataclass(frozen=True)
class Probe:
    """What a probe job is to look for.

    Attributes:
        addresses: of the login node, which nodes should reach.
        ports: first and last port on which an interchange may listen; 0 is any.
        programs: of container runtimes.
        timeout: seconds until the job is given up.
    """

    addresses: Sequence[str]
    ports: tuple[int, int] = (0, 0)
    programs: Sequence[str] = ()
    timeout: Seconds = _TIMEOUT


def findings_in(output: str, probe: Probe) -> list[Finding]:
    """Findings in the output of a job that has come to its end; pure."""
    lines = re.findall(r"^cnflow-probe (\w+) (.*)$", output, re.MULTILINE)
    host = next((words for name, words in lines if name == "host"), "?")
    about = f"node {host}"
    tried = dict(words.split(" ", 1) for name, words in lines if name == "address" and " " in words)
    good = {address: words[3:] for address, words in tried.items() if words.startswith("ok ")}
    programs = [words for name, words in lines if name == "program"]
    found = [_reach_finding(about, tried, good, output)]
    if probe.programs:
        words = f"has {', '.join(programs)}" if programs else f"has no {' or '.join(probe.programs)}"
        advice = "" if programs else "If a module brings it, load it in worker_init=; else choose another runtime=."
        found.append(Finding(about, Verdict.GOOD if programs else Verdict.ABSENT, words, advice))
    return found


def _reach_finding(about: str, tried: dict[str, str], good: dict[str, str], output: str) -> Finding:
    if good:
        reached = ", ".join(f"{address} ({milliseconds} ms)" for address, milliseconds in good.items())
        return Finding(about, Verdict.GOOD, f"reaches the interchange's machine at {reached}")
    if not tried:
        words = output.strip()[-400:]
        return Finding(about, Verdict.BAD, f"cnflow's Python does not run there: {words}", "Correct worker_init=.")
    reasons = "; ".join(f"{address}: {words}" for address, words in tried.items())
    advice = (
        "Name an address that nodes reach by address= of the executor, or a range of open ports by worker_port_range=. "
        "If no connection to the login node is allowed, use way=Listen() or way=Tunnel(...)."
    )
    return Finding(about, Verdict.BAD, f"does not reach the interchange's machine: {reasons}", advice)


class ProbeJob:
    """Submits a job, and waits for its findings.

    Args:
        settings: of the provider.
        dialect: of its scheduler.
        site: of its login node.
        pause: called to wait.
    """

    def __init__(
        self, settings: BatchSettings, dialect: Dialect, site: SiteFolder, pause: Callable[[float], None]
    ) -> None:
        self._settings = settings
        self._dialect = dialect
        self._site = site
        self._pause = pause

    def run(self, probe: Probe) -> list[Finding]:
        """Findings; a job that cannot be submitted, or does not start in time, is one of them."""
        about = f"probe job of {self._dialect.name}"
        if not self._settings.has_shared_files:
            return [Finding(about, Verdict.ABSENT, "is not made where nodes and login node share no files")]
        name = f"cnflow-probe-{secrets.token_hex(4)}"
        try:
            listener = self._site.channel.start(self._listener_command(probe))
            try:
                return self._run(name, probe, _port_of(listener))
            finally:
                _end(listener)
                self._site.remove(f"probe/{name}")
        except BlockError as error:
            words, _, advice = str(error).partition("\n")
            return [Finding(about, Verdict.BAD, words, advice)]

    def _listener_command(self, probe: Probe) -> list[str]:
        python = self._site.bare_node(self._settings.python).python
        return [python, "-I", "-c", LISTENER, *map(str, probe.ports)]

    def _run(self, name: str, probe: Probe, port: int) -> list[Finding]:
        folder = self._site.path_of(f"probe/{name}")
        script = self._dialect.submit_script(self._settings, self._request(name, folder, probe, port))
        path = self._site.put(script.encode(), f"probe/{name}/{name}.sh", 0o700)
        done = self._command(self._dialect.submit_command(self._settings, path))
        if done.exit_code:
            raise BlockError(self._dialect.refusal_of(done).words)
        (native,) = self._dialect.job_ids_of(done, 1)
        try:
            output, last = self._wait(native, f"{folder}/{name}.out", probe)
        except BaseException:  # also Ctrl-C: no job is left in the queue
            with contextlib.suppress(ChannelError):
                self._command(self._dialect.cancel_command(self._settings, [native]))
            raise
        if _LAST in output:
            return findings_in(output, probe)
        raise BlockError(f"It printed no end: {last}. {output.strip()[-800:]}")

    def _request(self, name: str, folder: str, probe: Probe, port: int) -> JobRequest:
        python = self._site.bare_node(self._settings.python).python
        programs = " ".join(probe.programs)
        words = [python, CONNECTOR, str(port), programs, *probe.addresses]
        body = Body(
            argv=["sh", "-c", _SCRIPT, "cnflow", *words],
            environment=self._settings.environment,
            worker_init=self._settings.worker_init,
        )
        return JobRequest(name, 1, _WALLTIME, render(body), output=f"{folder}/{name}.out")

    def _wait(self, native: NativeId, path: str, probe: Probe) -> tuple[str, str]:
        """Output of the job once it is complete or the job has ended, and the scheduler's last word about the job."""
        deadline = time.monotonic() + probe.timeout
        last = "it waits"
        while True:
            output = self._command(["cat", path]).stdout
            if _LAST in output:
                return output, last
            done = self._command(self._dialect.status_command(self._settings, [native]))
            status = (self._dialect.states_of(done) or {}).get(native)
            if status is not None:
                last = f"{status.state.value} {status.message}".strip()
                if status.state.is_final:
                    self._pause(2.0)  # its output may come a moment later: shared file systems are slow
                    return self._command(["cat", path]).stdout, last
            if time.monotonic() > deadline:
                raise BlockError(
                    f"It did not end within {duration(probe.timeout)}, and was cancelled: {last}.\nThe queue may be "
                    "long: try another partition or queue, or a shorter walltime=."
                )
            self._pause(min(self._settings.poll_period, 3.0))

    def _command(self, argv: Sequence[str]) -> Completed:
        return self._site.channel.run(argv, timeout=Seconds(self._settings.cmd_timeout))


def _port_of(listener: subprocess.Popen[bytes]) -> int:
    """Port that *listener* prints; what a login prints before is skipped."""
    assert listener.stdout is not None
    assert listener.stderr is not None
    while line := listener.stdout.readline():
        words = line.split()
        if words[:1] == [b"cnflow-port"]:
            return int(words[1])
    raise ChannelError(
        f"The login node cannot listen: {listener.stderr.read().decode(errors='replace').strip()[-400:]}"
    )


def _end(listener: subprocess.Popen[bytes]) -> None:
    with listener:
        listener.terminate()
