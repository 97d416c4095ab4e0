"""Runs functions and values of many kinds on workers of several minor versions of Python; prints what differs.

Usage: battery.py FOLDER LABEL=PYTHON ...
"""

import abc
import array
import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import ipaddress
import json
import math
import os
import pathlib
import re
import sys
import threading
import types
import typing
import uuid

import own_shapes

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
RATE = 3
TABLE = {"a": [1, 2]}


def scaled(x):
    return x * RATE


def version():
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def logged(prefix):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return prefix, function(*args, **kwargs)

        return wrapper

    return decorate


@contextlib.contextmanager
def doubled(n):
    yield 2 * n


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.singledispatch
def kind_of(value):
    return "any"


@kind_of.register(int)
def _(value):
    return "int"


def is_even(n):
    return n == 0 or is_odd(n - 1)


def is_odd(n):
    return n != 0 and is_even(n - 1)


@dataclasses.dataclass
class Point:
    """A point."""

    count: typing.ClassVar[int] = 7
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list, compare=False)
    extra: dataclasses.InitVar[int] = 5

    def __post_init__(self, extra):
        self.sum = self.x + self.y + extra

    def norm(self):
        return math.hypot(self.x, self.y)

    def moved(self):
        return Point(self.x + 1, self.y)


@dataclasses.dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: "int" = 0


@dataclasses.dataclass
class Point3(Point):
    z: int = 0

    def __repr__(self):
        return "mine"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    b: int = 2


class Color(enum.Enum):
    RED = 1
    BLUE = 2
    CRIMSON = 1

    def low(self):
        return self.name.lower()

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5


class Mode(enum.Flag):
    R = enum.auto()
    W = enum.auto()
    RW = R | W


class Planet(enum.Enum):
    EARTH = (5.97, 6.37)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius


class Pair(typing.NamedTuple):
    left: int
    right: int = 5

    def total(self):
        return self.left + self.right


Old = collections.namedtuple("Old", "a b", defaults=[9])


class Base(abc.ABC):
    registry = {"base": 1}

    @abc.abstractmethod
    def area(self): ...

    def twice(self):
        return 2 * self.area()

    def __private(self):
        return "private"

    def shown(self):
        return self.__private()


class Square(Base):
    __slots__ = ("__hidden", "side")

    def __init__(self, side):
        super().__init__()
        self.side = side
        self.__hidden = side

    def area(self):
        return self.__hidden**2

    def twice(self):
        return super().twice() + 1

    @property
    def half(self):
        return self.side / 2

    @staticmethod
    def more(x):
        return x + 1

    @classmethod
    def make(cls, side):
        return cls(side)

    def __eq__(self, other):
        return self.side == other.side

    __hash__ = None


@dataclasses.dataclass
class Changed:
    a: int = 1

    def __eq__(self, other):
        return "mine"


Changed.a = 5
Changed.later = lambda self: self.a

T = typing.TypeVar("T")


class Stack(typing.Generic[T]):
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)
        return self


class HasArea(typing.Protocol):
    def area(self): ...


class OopsError(Exception):
    def __init__(self, code):
        super().__init__(f"oops {code}")
        self.code = code

    def __reduce__(self):
        return OopsError, (self.code,)


def use_closure(n):
    total = 0

    def add(m):
        nonlocal total
        total += m
        return n + total

    return add(1), add(2), add


def use_classes(square, point):
    assert isinstance(square, Square)
    assert isinstance(point, Point)
    assert not isinstance(square, collections.abc.Hashable)
    return [
        Square.make(3) == Square(3), square.twice(), square.half, Square.more(1), square.shown(), Base.registry,
        point.norm(), point.moved(), point.sum, Point.count, Version(1) < Version(1, 1),
        hash(Version(1)) == hash(Version(1)),
        repr(Point3(1, 2, z=3)), Point3(1).z, dataclasses.replace(point, x=9, extra=5).x,
        [f.name for f in dataclasses.fields(Point3)],
        Stack().push(1).items, Slotted(1).b, Changed.a, Changed().a, Changed() == 1, Changed(7).later(),
    ]  # fmt: skip


def use_enums(color, level, mode):
    assert isinstance(color, Color)
    return [
        color.low(), Color.BLUE, Color(99), Color["CRIMSON"] is Color.RED, level + 1, Level.HIGH, mode & Mode.R,
        Mode.R in mode, Planet.EARTH.mass, list(Color), len(Mode.__members__), Level(5) is Level.HIGH,
    ]  # fmt: skip


def use_tuples(pair, old):
    return pair.total(), Pair(1), Pair(1)._replace(left=2), Old(old.b), Old._make([1, 2])._asdict()


def use_helpers():
    with doubled(4) as eight:
        return eight, fib(30), kind_of(3), kind_of("x"), is_even(10), TABLE["a"], scaled(2)


def use_local_classes(n):
    class Local:
        def __init__(self, value):
            self.value = value

        def read(self):
            return self.value + n

    return Local(1).read(), Local(2)


def use_own_module(box):
    assert isinstance(box, own_shapes.Box)
    return own_shapes.describe(box), own_shapes.Box(2), own_shapes.counter(1)(2)


def use_callback(value):
    return own_shapes.called(value)


def use_many(*args, key=1, **kwargs):
    def numbers():
        yield from args

    return (
        [*numbers()],
        key,
        kwargs,
        (lambda x: x + key)(1),
        [y for x in args for y in (x, RATE)],
        {k: v for k, v in kwargs.items()},
    )


def annotated(x: "int | None", y: int | None = None, z: list[int] = None, w: int | None = None) -> dict[str, int]:
    return [x, y, z, w]


async def coroutine(x):
    return x + RATE


def fail(code):
    raise OopsError(code)  # shown in the traceback


def echo(*values):
    return values


def call(function, *args):
    return function(*args)


def returns(x):
    def inner(y):
        return x + y + RATE

    return inner, lambda: x, scaled


if OWN:
    indented = python_app(lambda x: x + RATE)

VALUES = [
    1, 2**200, -0.0, 1e300, 1 + 2j, "text \N{SNOWMAN} \udcff", b"\0\xff", None, True, ..., NotImplemented,
    (1, [2, {3: {4}}]), frozenset({1}), bytearray(b"x"), range(1, 9, 2), slice(1, None, 2), array.array("d", [1.5]),
    dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.timezone.utc), dt.timedelta(days=1, microseconds=3),
    dt.timezone(dt.timedelta(hours=2)), decimal.Decimal("1.50"), fractions.Fraction(1, 3),
    pathlib.Path("/tmp/x"), pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("c:/d"), uuid.UUID(int=5),
    re.compile("a+", re.IGNORECASE), collections.Counter("aab"), collections.OrderedDict(a=1),
    collections.defaultdict(list, a=[1]),
    collections.deque([1, 2], maxlen=3), types.SimpleNamespace(a=1), functools.partial(int, base=2),
    ipaddress.ip_network("10.0.0.0/8"), ValueError("x", 1), KeyError("k"), int, len, math.sin, typing.Optional[int],
    Point(3, 4), [Version(1, 2)], Slotted(1), Color.RED, Level.LOW, Mode.RW, Pair(1), Old(2), Square(2),
    own_shapes.Box(1, 2), Planet.EARTH, os.stat_result(range(10)), collections.ChainMap({"a": 1}), b"x" * 2_000_000,
]  # fmt: skip


def shown(value):
    """A text that is the same for equal values, whatever Python they come from."""
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return [shown(each) for each in value]
    if isinstance(value, Square):
        return f"Square {value.side}"
    if isinstance(value, (functools.partial, types.SimpleNamespace)):
        return str(vars(value)) + str(getattr(value, "args", ""))
    return f"{type(value).__qualname__} {value!r}"


def cases():
    """Names of cases, and function and arguments of each."""
    yield "version", version, (), {}
    yield "decorated", logged("p")(scaled), (2,), {}
    yield "closure", lambda n: use_closure(n)[:2], (1,), {}
    yield "classes", use_classes, (Square(2), Point(3, 4)), {}
    yield "enums", use_enums, (Color.RED, Level.LOW, Mode.RW), {}
    yield "tuples", use_tuples, (Pair(2), Old(1, 2)), {}
    yield "helpers", use_helpers, (), {}
    yield "local classes", lambda n: use_local_classes(n)[0], (4,), {}
    yield "own module", use_own_module, (own_shapes.Box(3, 4),), {}
    yield "callback", use_callback, (5,), {}
    yield "many", use_many, (1, 2), {"key": 3, "other": 4}
    yield "annotated", annotated, (1,), {}
    yield "call", call, (scaled, 5), {}
    yield "method", call, (Square(3).area,), {}
    yield "partial", call, (functools.partial(scaled, 4),), {}
    for number, value in enumerate(VALUES):
        yield f"value {number} {type(value).__name__}", echo, (value, [value]), {}


def main(folder, interpreters):
    found = {}
    executors = [
        HighThroughputExecutor(
            label="py" + minor.replace(".", ""), provider=LocalProvider(python=python), max_workers=1
        )
        for minor, python in interpreters
    ]
    with cnflow.load(Config(executors=executors, run_dir=folder)):
        futures = {}
        for minor, _ in interpreters:
            label = "py" + minor.replace(".", "")
            own_shapes.callback = None
            for name, function, args, kwargs in cases():
                if name == "callback":
                    futures[minor, "own module"].result(60)  # a global that is set after the first use is sent
                    own_shapes.callback = lambda value: ("callback", value, RATE)
                futures[minor, name] = python_app(function, executors=[label])(*args, **kwargs)
            futures[minor, "coroutine"] = python_app(coroutine, executors=[label])(1)
            futures[minor, "fail"] = python_app(fail, executors=[label])(7)
            futures[minor, "returns"] = python_app(returns, executors=[label])(1)
            futures[minor, "local"] = python_app(use_local_classes, executors=[label])(1)
            futures[minor, "lock"] = python_app(echo, executors=[label])(
                {"model": types.SimpleNamespace(lock=threading.Lock())}
            )
            futures[minor, "ambiguous"] = python_app((lambda: 1, lambda: 2)[0], executors=[label])()
            futures[minor, "ambiguous value"] = python_app(echo, executors=[label])(
                [0, {"f": (lambda: 1, lambda: 2)[0]}]
            )
            namespace = {}
            exec("def made(x):\n    return x\n", namespace)
            futures[minor, "exec"] = python_app(namespace["made"], executors=[label])(1)
        for minor, _ in interpreters:
            differs = found[minor] = {}
            for name, function, args, kwargs in cases():
                expected = minor if name == "version" else shown(function(*args, **kwargs))
                try:
                    value = futures[minor, name].result(60)
                    value = value if name == "version" else shown(value)
                except Exception as error:
                    value = f"{type(error).__name__}: {error}"
                if value != expected:
                    differs[name] = [expected, value]
            others(minor, futures, differs)
    return found


def others(minor, futures, differs):
    def check(name, test):
        try:
            test(futures[minor, name])
        except Exception as error:
            differs[name] = f"{type(error).__name__}: {error}"

    def coroutine_runs(future):
        assert future.result(60) == 4

    def error_is_the_users(future):
        error = future.exception(60)
        assert type(error) is OopsError, (type(error), error)
        assert error.code == 7
        assert "raise OopsError(code)  # shown in the traceback" in str(error.__cause__), error.__cause__

    def functions_come_back(future):
        inner, constant, again = future.result(60)
        assert (inner(2), constant(), again(2)) == (6, 1, 6)

    def local_class_comes_back(future):
        assert future.result(60)[1].read() == 3

    def lock_is_named(future):
        assert "lock" in str(future.exception(60)), future.exception()

    def is_refused(*words):
        def test(future):
            if minor == OWN:
                assert future.exception(60) is None, future.exception()
                return
            message = str(future.exception(60))
            for word in (minor, OWN, *words):
                assert word in message, message

        return test

    check("coroutine", coroutine_runs)
    check("fail", error_is_the_users)
    check("returns", functions_come_back)
    check("local", local_class_comes_back)
    check("lock", lock_is_named)
    check("ambiguous", is_refused("more than one function", "def"))
    check("ambiguous value", is_refused("args[0][1]['f']", "more than one function"))
    check("exec", is_refused("no source", "made"))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], [each.split("=", 1) for each in sys.argv[2:]])))
