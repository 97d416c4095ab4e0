"""``python tests/fuzzing/run.py N [--seed S]``: sends N malformed messages to real sockets.

The targets are an interchange with its limit of malformed messages, an interchange and a manager without a limit (so
that they read every message), each encrypted and plain. After each thousand messages the target must run a task; at
the end it must not have grown, and must exit with 0.
"""

import argparse
import random
import time

from targets import Interchange, Manager

ROUND = 1000
MAX_GROWTH = 32 * 2**20
"""Bytes by which a target may grow after the first tenth of the messages: memory that Python's allocator keeps."""


def fuzz(target, rng, count, per_peer):
    """Send *count* messages to *target*, *per_peer* from each peer, and check it.

    Raises:
        AssertionError: the target crashed, hung, grew or did not count the messages.
    """
    begin, sent, low = time.monotonic(), 0, 0
    while sent < count:
        for _ in range(0, min(ROUND, count - sent), per_peer):
            target.attack(rng, per_peer)
        sent += ROUND
        if isinstance(target, Interchange):
            target.attack_without_key(rng, 5)
        target.check()
        if not low and sent >= count / 10:
            low = target.memory()
    growth = target.memory() - low
    code, log = target.end()
    counted = [line for line in log.splitlines() if "in all" in line]
    seconds = time.monotonic() - begin
    report(
        f"  {count} in {seconds:.0f} s, grew {growth / 2**20:.1f} of {low / 2**20:.0f} MiB, exit {code}; {counted[-1:]}"
    )
    assert code == 0, log[-3000:]
    assert growth < MAX_GROWTH, f"the target grew by {growth} bytes"
    assert counted, f"no message was counted:\n{log[-3000:]}"


def main():
    """Fuzz all targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    report(f"seed {seed}")
    rng = random.Random(seed)
    share = -(-arguments.count // 6)
    for encrypted in (False, True):
        for kind, is_limited in ((Interchange, False), (Interchange, True), (Manager, False)):
            limit = "limited" if is_limited else "without limit"
            report(f"{kind.__name__}, {'encrypted' if encrypted else 'plain'}, {limit}")
            fuzz(kind(encrypted=encrypted, is_limited=is_limited), rng, share, min(20 if is_limited else ROUND, share))


def report(line):
    print(line, flush=True)


if __name__ == "__main__":
    main()
