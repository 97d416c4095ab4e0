"""What a code object is and refers to, as its instructions show it. No I/O."""

from __future__ import annotations

import dis
import functools
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

from cnflow.dataflow.memo.values import digest, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}  # the last since 3.12
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"}
_CHANGING_METHODS = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem"),
        *("popleft", "remove", "setdefault", "update"),
    }
)
"""Methods that change a container."""

_CHANGES = {"STORE_ATTR": 1, "DELETE_ATTR": 1, "STORE_SUBSCR": 2, "DELETE_SUBSCR": 2}
"""Instructions that change an object, with its position on the stack, counted from the top."""

_ROTATIONS = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4}  # until 3.10
_NOT_ON_STACK = {"CACHE", "NOP", "PRECALL", "RESUME", "EXTENDED_ARG"}


class Import(NamedTuple):
    """``from ..module import names``; its level is 2 then, and 0 for an absolute name."""

    module: str
    level: int
    names: tuple[str, ...]


class Bytecode(NamedTuple):
    """A code object with all that are nested in it."""

    content: bytes
    """Digest, the same for the same source within one minor version of Python."""

    globals: tuple[str, ...]
    """Globals that it reads and never sets, sorted; a global that it sets is its memory, not part of it."""

    memory: frozenset[str]
    """Globals that it changes in place: it sets an item or an attribute, or calls a method such as ``append``."""

    attributes: frozenset[str]
    """Names of the attributes that it reads, of whatever object."""

    imports: frozenset[Import]


@functools.lru_cache(maxsize=4096)
def parse(code: CodeType) -> Bytecode:
    """Return what *code* is and refers to."""
    reads, sets, attributes, imports = set(), set(), set(), set()
    steps = list(dis.get_instructions(code))
    for number, step in enumerate(steps):
        if step.opname in _GLOBALS:
            reads.add(str(step.argval))
        elif step.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
            sets.add(str(step.argval))
        elif step.opname in _ATTRIBUTES:
            attributes.add(str(step.argval))
        elif step.opname == "IMPORT_NAME":
            level, names = (before.argval for before in steps[number - 2 : number])
            imports.add(Import(str(step.argval), level, tuple(names or ())))
    memory = set(_changed_in_place(steps))
    for nested in (parse(constant) for constant in code.co_consts if isinstance(constant, CodeType)):
        reads.update(nested.globals)
        memory |= nested.memory
        attributes |= nested.attributes
        imports |= nested.imports
    parts = (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_name),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts),
        # co_code is free of the interpreter's specialisations at run time; exceptions have a table since 3.11.
        (code.co_code, getattr(code, "co_exceptiontable", b"")),
    )
    names = sorted(name for name in reads - sets if not is_dunder(name))
    return Bytecode(digest(encode(parts)), tuple(names), frozenset(memory), frozenset(attributes), frozenset(imports))


def is_dunder(name: str) -> bool:
    """Return True if Python defines the name: ``__file__`` and ``__firstlineno__`` depend on the place of the code."""
    return name.startswith("__") and name.endswith("__")


def _changed_in_place(steps: list[dis.Instruction]) -> Iterator[str]:
    """Yield the globals of which the code sets items or attributes, or calls methods that change them.

    Follows the names of globals on a stack, from the first instruction to the last, as if there were no jumps: a name
    that is lost on the way is one more that counts as part of the function.
    """
    stack: list[str | None] = []
    for step in steps:
        if step.opname in _NOT_ON_STACK or _reorder(step.opname, step.arg or 0, stack):
            continue
        position = _CHANGES.get(step.opname)
        if step.opname in _ATTRIBUTES and step.argval in _CHANGING_METHODS:
            position = 1
        if position is not None and len(stack) >= position and (changed := stack[-position]) is not None:
            yield changed
        _apply(step, stack)


def _reorder(name: str, depth: int, stack: list[str | None]) -> bool:
    """Carry out an instruction that moves or copies what is on *stack*; return False if it is none."""
    if name == "COPY":
        stack.append(stack[-depth] if depth <= len(stack) else None)
    elif name == "SWAP" and depth <= len(stack):
        stack[-1], stack[-depth] = stack[-depth], stack[-1]
    elif name == "DUP_TOP_TWO":
        stack += stack[-2:]
    elif name.startswith("ROT_"):
        depth = _ROTATIONS.get(name, depth)
        stack[-depth:] = [*stack[-1:], *stack[-depth:-1]]
    else:
        return False
    return True


def _apply(step: dis.Instruction, stack: list[str | None]) -> None:
    """Carry out an instruction; an item or attribute of a global goes by the name of the global."""
    effect = dis.stack_effect(step.opcode, step.arg, jump=False)
    if step.opname in _GLOBALS:
        stack += [*[None] * (effect - 1), str(step.argval)]
        return
    if effect < 0:
        del stack[effect:]
    is_item = step.opname == "BINARY_SUBSCR" or (step.opname == "BINARY_OP" and step.argrepr == "[]")  # since 3.14
    is_inside = is_item or step.opname in _ATTRIBUTES
    if effect <= 0 and stack and not is_inside and not step.opname.startswith(("POP", "STORE", "DELETE")):
        stack[-1] = None
    stack += [None] * effect
