"""``python tests/fuzzing/run.py N [--seed S]``: N malformed messages at real sockets.

They go to an interchange and to a manager, encrypted and plain; to the interchange as it is and, so that all is read,
to one whose patience has no end, as the manager's. After each thousand it has to work as before; at the end its memory
must be what it was, and it must end well.
"""

import argparse
import random
import time

from victims import Interchange, Manager

ROUND = 1000
GROWTH = 32 * 2**20
"""Bytes by which a process may grow after its first tenth: what Python's allocator does not give back."""


def fuzz(victim, rng, count, of_one):
    """Attack *victim* with *count* messages, *of_one* of each peer; bytes by which it grew."""
    begin, sent, low = time.monotonic(), 0, 0
    while sent < count:
        for _ in range(0, min(ROUND, count - sent), of_one):
            victim.attack(rng, of_one)
        sent += ROUND
        if isinstance(victim, Interchange):
            victim.attack_from_outside(rng, 5)
        victim.check()
        if not low and sent >= count / 10:
            low = victim.memory()
    growth = victim.memory() - low
    code, said = victim.end()
    counted = [line for line in said.splitlines() if "in all" in line]
    seconds = time.monotonic() - begin
    say(
        f"  {count} in {seconds:.0f} s, grew {growth / 2**20:.1f} of {low / 2**20:.0f} MiB, exit {code}; {counted[-1:]}"
    )
    assert code == 0, said[-3000:]
    assert growth < GROWTH, f"it grew by {growth} bytes"
    assert counted, f"nothing was counted:\n{said[-3000:]}"


def main():
    """Until all are sent, or something breaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    say(f"seed {seed}")
    rng = random.Random(seed)
    share = -(-arguments.count // 6)
    for encrypted in (False, True):
        for kind, patient in ((Interchange, True), (Interchange, False), (Manager, True)):
            say(f"{kind.__name__}, {'encrypted' if encrypted else 'plain'}, {'patient' if patient else 'as it is'}")
            fuzz(kind(encrypted=encrypted, patient=patient), rng, share, min(ROUND if patient else 20, share))


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    main()
