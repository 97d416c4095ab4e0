"""Names that code imports, from its bytecode. No I/O."""

from __future__ import annotations

import dis
from typing import TYPE_CHECKING, NamedTuple

from cnflow.tasks.own_modules import codes_in

if TYPE_CHECKING:
    from types import CodeType

_IMPORT, _STORE = dis.opmap["IMPORT_NAME"], dis.opmap["STORE_GLOBAL"]
_BY_NAME = frozenset({"import_module", "__import__", "run_module", "iter_modules", "walk_packages"})


class Uses(NamedTuple):
    """What the code of a module, with all functions in it, uses."""

    imports: frozenset[str]
    """Full names of modules, and of attributes of modules that may be modules."""

    is_dynamic: bool
    """It also imports modules whose names are made at run time."""

    sets: frozenset[str]
    """Globals that its functions set."""

    names: frozenset[str]
    """Names and attributes that it reads."""


def uses_of(code: CodeType, package: str) -> Uses:
    """Return what *code* uses.

    Args:
        code: of a module or of a function.
        package: to which relative imports refer; empty if there is none.
    """
    imports: set[str] = set()
    sets: set[str] = set()
    names: set[str] = set()
    for each in (code, *codes_in(code)):
        names.update(each.co_names)
        operations = each.co_code[::2]
        if _IMPORT in operations or _STORE in operations:
            _add(each, package, imports, sets)
    return Uses(frozenset(imports), not _BY_NAME.isdisjoint(names), frozenset(sets), frozenset(names))


def _add(code: CodeType, package: str, imports: set[str], sets: set[str]) -> None:
    constants: list[object] = [0, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_"):
            constants = [constants[-1], instruction.argval]
        elif instruction.opcode == _STORE:
            sets.add(str(instruction.argval))
        elif instruction.opcode == _IMPORT:
            level, names = constants
            base = str(instruction.argval)
            if isinstance(level, int) and level:
                if not package:
                    continue
                parts = package.split(".")
                above = parts[: len(parts) - level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base:
                imports.add(base)
                imports.update(f"{base}.{name}" for name in names or () if name != "*")  # type: ignore[attr-defined]
