"""Objects of classes with ``__slots__`` go to another process and come back."""

import subprocess
import sys
import textwrap

import pytest

CLASSES = """
    import collections, dataclasses, pickle, subprocess, sys, typing, weakref
    from cnflow.wire import serialization

    @dataclasses.dataclass(slots=True)
    class Point:
        x: int
        y: int = 5
        def moved(self):
            return Point(self.x + 1)

    @dataclasses.dataclass(slots=True, frozen=True, **({"weakref_slot": True} if sys.version_info >= (3, 11) else {}))
    class Frozen:
        x: int

    class Plain:
        __slots__ = "x"

    class Private:
        __slots__ = ("__x", "y")
        def __init__(self, x): self.__x = x
        x = property(lambda self: self.__x)

    class Child(Private):
        __slots__ = {"z": "documented"}

    class Open(Plain):
        __slots__ = ("more", "__dict__", "__weakref__")

    class Empty:
        __slots__ = ()

    class Unslotted(Empty):
        pass

    class Pair(typing.NamedTuple):
        x: int
        y: int = 5

    class SlottedPair(Pair):
        __slots__ = ()

    class Old(collections.namedtuple("Old", "x y")):
        __slots__ = ()

    def set_all(value, **attributes):
        for name, attribute in attributes.items():
            setattr(value, name, attribute)
        return value

    def travelled(value):
        code = (
            "import pickle, sys\\n"
            "from cnflow.wire import serialization\\n"
            "value = pickle.load(sys.stdin.buffer)\\n"
            "try: type(value).__mro__[0].__setattr__(value, 'other', 1)\\n"
            "except AttributeError: slotted = True\\n"
            "else: slotted = False; del value.other\\n"
            "sys.stdout.buffer.write(serialization.dump_in_band((slotted, value)))"
        )
        body = serialization.dump_in_band(value)
        done = subprocess.run([sys.executable, "-c", code], input=body, stdout=subprocess.PIPE, check=True)
        return pickle.loads(done.stdout)
"""


@pytest.mark.parametrize(
    ("made", "is_slotted", "check"),
    [
        ("Point(3)", True, "value.moved() == Point(4) and value == Point(3, 5)"),
        ("[Point(1), Point(2)][1]", True, "value.x == 2"),
        ("set_all(Plain(), x=1)", True, "value.x == 1"),
        ("Private(4)", True, "value.x == 4"),
        ("set_all(Child(5), y=6, z=7)", True, "(value.x, value.y, value.z) == (5, 6, 7)"),
        ("set_all(Open(), x=1, more=2, free=3)", False, "(value.x, value.more, value.free) == (1, 2, 3)"),
        ("Open()", False, "weakref.ref(value)() is value"),
        ("Empty()", True, "not hasattr(value, '__dict__')"),
        ("Pair(1)", True, "value == (1, 5) and value.x == 1 and value._replace(x=2) == Pair(2)"),
        ("SlottedPair(1, 2)", True, "value.y == 2"),
        ("Old(1, 2)", True, "value.y == 2"),
        ("set_all(Unslotted(), x=1)", False, "value.x == 1"),
    ],
)
def test_object_with_slots_comes_back_as_it_was(made, is_slotted, check, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(CLASSES)
        + f"made = {made}\nslotted, value = travelled(made)\n"
        + f"assert slotted is {is_slotted}, slotted\nassert type(value) is type(made)\nassert {check}, value\n"
    )
    subprocess.run([sys.executable, str(script)], check=True)
