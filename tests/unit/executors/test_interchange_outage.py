from pathlib import Path
from types import SimpleNamespace

from cnflow.executors.high_throughput.interchange_host import HostWords
from cnflow.executors.high_throughput.interchange_outage import Outage
from cnflow.testing import FakeClock


def outage():
    clock = FakeClock()
    log = Path("run/interchange.log")
    host = SimpleNamespace(name="the connection with login1", grace=3600.0, log_file=log, words=HostWords())
    return Outage(host, clock.now), clock


def test_outage_is_reported_once_and_then_each_minute(caplog):
    made, clock = outage()
    made.on_lost("exited with code 255", clock.now() + 0.1)
    (line,) = caplog.messages
    assert line == (
        "the connection with login1 exited with code 255; connecting again in 0.1 s. Its tasks go on for 1 h 0 min at "
        "the most, and results wait there."
    )
    for _ in range(59):
        clock.advance(1)
        made.on_lost("exited with code 255", clock.now())
    assert len(caplog.messages) == 1
    clock.advance(1)
    made.on_lost("was killed", clock.now())
    assert caplog.messages[1:] == [made.describe()]


def test_outage_is_described_to_a_user_who_waits():
    made, clock = outage()
    assert made.describe() == ""
    made.on_lost("exited with code 255", clock.now())
    clock.advance(65)
    made.on_lost("exited with code 254", clock.now())
    assert made.describe() == (
        "the connection with login1 has been broken for 1 min 5 s, after 1 attempt to make it again: the last one "
        "exited with code 254; see run/interchange.log. Tasks that are there go on, and their results wait."
    )


def test_connection_that_stands_again_ends_the_outage(caplog):
    caplog.set_level("INFO")
    made, clock = outage()
    made.on_connected()
    made.on_lost("exited with code 255", clock.now())
    clock.advance(3.21)
    made.on_connected()
    assert caplog.messages[1:] == ["the connection with login1 stands again after 3.2 s"]
    assert made.describe() == ""
