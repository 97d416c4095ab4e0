import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import math
import os
import subprocess
import sys
import textwrap
import zoneinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.dataflow.memo import id_for_memo, key_of
from cnflow.dataflow.memo.values import encode
from cnflow.errors import MemoKeyError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, AppKind, TaskToRun


def key(function, *args, image="", ignore=(), kind=AppKind.PYTHON, **kwargs):
    return key_of(TaskToRun(TaskId(7), AppFunction(function, kind), args, kwargs), image, ignore)


def define(source, name="f", **others):
    space = {"__name__": "script", **others}
    exec(textwrap.dedent(source), space)
    return space[name]


def add(a, b=2, *rest, scale=1, **more):
    return (a + b) * scale


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: int
    y: object = 0


TWICE = dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
"""A time that comes twice, since clocks are put back then."""


class Tagged(str):  # a subclass with attributes
    __slots__ = ("__dict__",)


class Opaque:
    pass


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
    | st.sampled_from([*Color, *Level])
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.builds(Path, st.sampled_from(["a", "a/b", "/c"]))
)
hashables = st.recursive(atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=5)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.builds(Point, st.integers(), inner)
        | st.tuples(inner)
    ),
    max_leaves=10,
)


def shape_of(value):
    """Value that ``==`` compares by type and sign too, as keys must."""
    kind = type(value).__qualname__
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(shape_of, value))
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(shape_of(inner)) for inner in value)
    if isinstance(value, dict):
        return kind, sorted(repr((shape_of(name), shape_of(inner))) for name, inner in value.items())
    if dataclasses.is_dataclass(value):
        return kind, shape_of(value.x), shape_of(value.y)
    if isinstance(value, complex):
        return kind, shape_of(value.real), shape_of(value.imag)
    return kind, "nan" if isinstance(value, float) and math.isnan(value) else repr(value)


@given(values)
def test_equal_values_have_equal_keys(value):
    assert key(add, value) == key(add, copy.deepcopy(value))


@given(values, values)
def test_values_have_equal_ids_exactly_when_type_and_value_are_equal(one, other):
    assert (encode(one) == encode(other)) is (shape_of(one) == shape_of(other))


@given(st.lists(st.tuples(hashables, atoms), unique_by=lambda pair: pair[0]))
def test_order_of_a_dict_or_a_set_does_not_change_the_id(pairs):
    assert encode(dict(pairs)) == encode(dict(pairs[::-1]))
    assert encode({name for name, _ in pairs}) == encode({name for name, _ in pairs[::-1]})


def test_order_of_an_ordered_dict_changes_the_id():
    one, other = [(1, 2), (3, 4)], [(3, 4), (1, 2)]
    assert encode(collections.OrderedDict(one)) != encode(collections.OrderedDict(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (1, "1"),
        ("a", b"a"),
        (b"a", bytearray(b"a")),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ([1, [2]], [1, 2]),
        (["ab", "c"], ["a", "bc"]),
        ([[], [1]], [[1], []]),
        ({1: 2}, {2: 1}),
        ({1: {}}, {1: set()}),
        (None, ...),
        (Level.LOW, 1),
        (Level.LOW, Level.HIGH),
        (Color.RED, Color.GREEN),
        (Point(1), (1, 0)),
        (Point(1), Point(1, 1)),
        (Path("a"), "a"),
        (range(3), range(1, 3)),
        (collections.defaultdict(int), collections.defaultdict(list)),
        (collections.deque([1]), collections.deque([1], 3)),
        pytest.param(1 << 20000, (1 << 20000) + 1, id="integers too long to print"),
        ("x" * 1000, "x" * 999 + "y"),
        (len, sum),
        (str.upper, str.lower),
        ("a".join, "b".join),
        (Point, Color),
        (functools.partial(add, 1), functools.partial(add, 2)),
        (dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)),
        (decimal.Decimal(1), decimal.Decimal("1.0")),
        (TWICE, TWICE.replace(fold=1)),
        (dt.time(2, 30), dt.time(2, 30, fold=1)),
        (dt.time(2, 30), dt.time(2, 30, tzinfo=dt.timezone.utc)),
        (dt.timezone.utc, dt.timezone(dt.timedelta(0), "Z")),
        (decimal.Decimal(0), decimal.Decimal("-0")),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
        (memoryview(b"a"), memoryview(b"b")),
        (memoryview(b"abcd"), memoryview(b"abcd").cast("H")),
        (memoryview(b"abcd"), memoryview(b"abcd").cast("B", (2, 2))),
    ],
)
def test_values_that_a_function_can_distinguish_have_different_keys(one, other):
    assert key(add, one) != key(add, other)
    assert key(add, [{"deep": (one,)}]) != key(add, [{"deep": (other,)}])


def test_all_nans_have_one_id():
    assert encode(math.nan) == encode(-math.nan)


def test_attributes_of_a_subclass_of_a_builtin_change_the_id():
    one, other = Tagged("a"), Tagged("a")
    one.tag, other.tag = 1, 2
    assert encode(one) != encode(other) != encode("a")


def test_arguments_are_bound_to_parameters_with_defaults():
    assert key(add, 1, b=2) == key(add, 1, 2) == key(add, 1) == key(add, b=2, a=1, scale=1)
    assert key(add, 1) != key(add, 2)
    assert key(add, 1, x=1, y=2) == key(add, 1, y=2, x=1)
    assert key(add, 1, x=1) != key(add, 1, y=1)


def test_arguments_that_do_not_fit_have_a_key():
    def narrow(a):
        return a

    assert key(narrow, 1, 2, c=3) == key(narrow, 1, 2, c=3) != key(narrow, 1, 2, c=4)


def test_positional_only_parameter_may_share_its_name_with_a_keyword():
    def positional(a, /, **more):
        return a, more

    assert key(positional, 1, a=2) == key(positional, 1, a=2) != key(positional, 2, a=1)


def test_ignored_parameters_and_keywords_are_left_out_with_their_defaults():
    ignore = ["scale", "log"]
    assert key(add, 1, scale=3, log=Opaque(), ignore=ignore) == key(add, 1, ignore=ignore)
    one, other = (define(f"def f(x, log={n}): return x") for n in (1, 2))
    assert key(one, 1) != key(other, 1)
    assert key(one, 1, ignore=["log"]) == key(other, 1, ignore=["log"])


def test_image_and_kind_change_the_key():
    assert len({key(add, 1), key(add, 1, image="sha256:1"), key(add, 1, kind=AppKind.BASH)}) == 3


SAME = """
def f(x, y=1):
    return [x + i for i in range(y)]
"""


@pytest.mark.parametrize(
    "edited",
    [
        "def f(x, y=1): return [x - i for i in range(y)]",
        "def f(x, y=1): return [x + i + 1 for i in range(y)]",
        "def f(x, y=2): return [x + i for i in range(y)]",
        "def f(x, *, y=1): return [x + i for i in range(y)]",
        "def f(x, y=1): return [x + i for i in sorted(y)]",
        "def f(x, y=1): return [(lambda: x + i)() for i in range(y)]",
    ],
)
def test_editing_the_body_or_a_default_changes_the_key(edited):
    assert key(define(SAME), 1) != key(define(edited), 1)


def test_comments_blank_lines_and_annotations_do_not_change_the_key():
    moved = "\n\n# what it is for\ndef f(x: int, y: int = 1) -> list:\n    # why\n    return [x + i for i in range(y)]"
    assert key(define(SAME), 1) == key(define(moved), 1)


def test_running_a_function_often_does_not_change_its_key():
    function = define(SAME)
    before = key(function, 1)
    for n in range(5000):
        function(n, 3)
    fresh = key(define(SAME), 1)
    assert key(function, 1) == before == fresh


def test_name_of_the_function_changes_the_key():
    assert key(define("def f(): return 1")) != key(define("def g(): return 1", "g"))


def maker(value):
    def inner(x):
        return value, x

    return inner


def test_closure_changes_the_key():
    assert key(maker(1), 1) == key(maker(1), 1) != key(maker(2), 1)
    assert key(maker(maker(1)), 1) == key(maker(maker(1)), 1) != key(maker(maker(2)), 1)


def test_recursive_closure_has_a_key():
    def recursive(n):
        return recursive(n - 1) if n else 0

    assert key(recursive, 1) == key(recursive, 1)


def test_unset_closure_variable_is_left_out():
    def early(x):
        return later, x

    assert key(early, 1)
    later = 1


WITH_HELPERS = """
def f(x): return g(x)
def g(x): return h(x) {0}
def h(x): return f(x) if x < 0 else x {1} LIMIT
"""


def test_global_functions_and_constants_change_the_key_at_any_distance():
    def key_with(one="", other="+", limit=1):
        return key(define(WITH_HELPERS.format(one, other), LIMIT=limit), 1)

    assert key_with() == key_with()
    assert len({key_with(), key_with("+ 1"), key_with(other="-"), key_with(limit=2)}) == 4


def test_mutable_global_and_global_set_by_the_function_do_not_change_the_key():
    source = "def f(x):\n    global count\n    count += 1\n    calls.append(x)\n    return log(x)"
    one = define(source, calls=[], count=0, log=Opaque())
    other = define(source, calls=[1], count=1, log=Opaque())
    assert key(one, 1) == key(other, 1)


def test_methods_and_constants_of_a_global_class_change_the_key():
    source = """
        class C:
            N = {}
            def m(self): return C, {}
            @property
            def p(self): return {}
        def f(): return C()
    """
    numbers = {(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)}
    assert len({key(define(source.format(*n))) for n in numbers}) == len(numbers)
    assert key(define(source.format(1, 1, 1))) == key(define(source.format(1, 1, 1)))


def test_functions_that_call_each_other_are_walked_once():
    names = [f"f{n}" for n in range(40)]
    source = "\n".join(f"def {name}(): return {', '.join(names)}" for name in names)
    assert key(define(source, "f0")) == key(define(source, "f0"))


def test_functions_of_packages_are_identified_by_name():
    assert key(define("def f(p): return join(p)", join=os.path.join), 1) == key(
        define("def f(p): return join(p)", join=os.path.join), 1
    )
    assert encode(textwrap.dedent) != encode(textwrap.indent)


def test_wrapper_is_identified_by_its_function():
    def lru_cached(n):
        return functools.lru_cache(define(f"def f(x): return x + {n}"))

    assert encode(lru_cached(1)) == encode(lru_cached(1)) != encode(lru_cached(2))
    source = "def f(x): return helper(x)"
    assert key(define(source, helper=lru_cached(1)), 1) != key(define(source, helper=lru_cached(2)), 1)


def test_methods_partials_and_builtins_have_keys():
    assert key(functools.partial(add, 1), 2) == key(functools.partial(add, 1), 2) != key(functools.partial(add, 2), 2)
    assert key(Point(1).__eq__, 2) != key(Point(2).__eq__, 2)
    assert key(max, 1, 2) != key(min, 1, 2)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda: key(add, [{"m": Opaque()}]),
            r"Task 7 \(add\) has cache=True, but its argument 'a' is or holds a .*Opaque",
        ),
        (
            lambda: key(add, 1, log=Opaque()),
            r"argument 'log' .*@id_for_memo.register\(Opaque\).*ignore_for_cache=\['log'\]",
        ),
        (lambda: key(maker(Opaque()), 1), r"closure variable 'value' of maker.<locals>.inner is or holds"),
        (lambda: key(maker(maker(Opaque())), 1), r"closure variable 'value' of maker.<locals>.inner is or holds"),
        (lambda: key(define("def f(x=y): pass", y=Opaque())), r"default of 'x' of f is or holds"),
        (lambda: key(Opaque()), r"its callable is or holds"),
    ],
)
def test_error_names_a_value_of_unknown_type_and_the_remedy(call, named):
    with pytest.raises(MemoKeyError, match=named):
        call()


def holding_itself(value):
    endless = [value]
    endless.append({"again": endless})
    return endless


def nested(value, levels):
    for _ in range(levels):
        value = [value]
    return value


def test_values_that_hold_themselves_have_keys():
    assert key(add, holding_itself(1)) == key(add, holding_itself(1))
    assert key(add, holding_itself(1)) != key(add, holding_itself(2))


def test_values_of_many_levels_have_keys():
    assert key(add, nested(1, 1_000)) == key(add, nested(1, 1_000))
    assert key(add, nested(1, 1_000)) != key(add, nested(2, 1_000))


def test_error_names_a_value_of_too_many_levels():
    with pytest.raises(MemoKeyError, match="argument 'a' is nested too deeply, or holds itself"):
        key(add, nested(1, 10_000))


def test_a_key_does_not_depend_on_how_deep_its_caller_is():
    def below(levels):
        return below(levels - 1) if levels else key(add, nested(1, 20))

    assert below(850) == below(0)


def test_registered_type_is_identified_and_its_errors_name_the_argument():
    class Model:
        def __init__(self, version):
            self.version = version

    @id_for_memo.register
    def _(model: Model, output_ref=False):  # noqa: FBT002 - the signature that the documentation gives
        return model.version.encode() + (b" to be made" if output_ref else b"")

    assert key(add, Model("1")) == key(add, Model("1")) != key(add, Model("2"))
    assert key(add, [Model("1")]) == key(add, [Model("1")]) != key(add, [Model("2")])
    assert key(add, 1, outputs=[Model("1")]) != key(add, 1, inputs=[Model("1")])
    with pytest.raises(AttributeError, match="encode") as raised:
        key(add, Model(None))
    if sys.version_info >= (3, 11):
        assert "raised by id_for_memo for the argument 'a' of" in raised.value.__notes__[0]


PRINTS = """
import dataclasses, enum, sys
from pathlib import Path
from cnflow.dataflow.memo import key_of
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, TaskToRun

FACTOR = 3
class Kind(enum.Enum):
    A = "a"
@dataclasses.dataclass
class Row:
    name: str
    tags: frozenset
    def size(self): return len(self.tags)
def helper(x): return x * FACTOR if x in {"a", "b", "c", "d"} else Row(x, frozenset())
def maker(*values):
    def app(x, rows=(), *, kind=Kind.A, **more):
        return helper(x), values, [lambda: helper(y) for y in {"p", "q", "r"}]
    return app
names = {"one", "two", "three", "four", Path("five"), 6, 7.5, None}
app = maker(names, helper, Row)
row = Row("r", frozenset(names))
given = {"rows": [row], "z": {n: n for n in names}, "f": helper, "t": Row}
task = TaskToRun(TaskId(1), AppFunction(app), (names,), given)
print(key_of(task, "sha256:1").hex())
"""


def test_keys_are_the_same_in_every_process():
    def print_key(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", PRINTS], env=environment, capture_output=True, text=True, check=True
        ).stdout

    first, *others = [print_key(seed) for seed in ("0", "1", "random")]
    assert len(first.strip()) == 64
    assert others == [first, first]


def test_arrays_are_identified_by_type_shape_and_content():
    np = pytest.importorskip("numpy", reason="No numpy. Run: pip install numpy")
    array = np.arange(6.0).reshape(2, 3)
    assert encode(array) == encode(array.copy()) == encode(np.asfortranarray(array))
    others = [array.T, array.ravel(), array.astype("f4"), array + 1, array.tolist(), array.astype(object)]
    others += [np.array(0.0), np.float64(0), np.int64(0), np.array([]), np.dtype("f8"), np.array(["2026"], "M8[Y]")]
    others += [np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), np.sin, np.datetime64("2026")]
    assert len({encode(other) for other in [array, *others]}) == len(others) + 1
    with pytest.raises(MemoKeyError):
        key(add, np.ma.array([1, 2], mask=[True, False]))


def test_containers_that_are_met_again_and_again_are_encoded_once():
    shared, copies = [1], [1]
    for _ in range(60):
        shared = [shared, shared]
    for _ in range(8):
        copies = [copies, list(copies)]
    few = [1]
    for _ in range(8):
        few = [few, few]
    assert len(encode(shared)) > 0
    assert encode(few) == encode(copies)


def test_container_that_changes_between_two_keys_has_another():
    deep = [[[[[1]]]]]
    before = encode(deep)
    deep[0][0][0][0][0] = 2
    assert encode(deep) != before
