import dataclasses
import enum
import functools
from typing import NamedTuple

OFFSET = 10


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    color: Color = Color.RED


class Pair(NamedTuple):
    first: int
    second: int


class Multiplier:
    rate = 1

    def __call__(self, x):
        return x * self.rate


class LabError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def make_adder(number):
    def add(x):
        return x + number + present_offset()

    return add


def present_offset():
    return OFFSET


@functools.lru_cache
def cached(x):
    return x + OFFSET


square = lambda x: x * x  # noqa: E731 - as users write


def fail(code):
    raise LabError(code)
