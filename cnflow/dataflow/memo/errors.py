"""Error of a value that cannot be part of a key."""

from __future__ import annotations

from cnflow.errors import MemoKeyError


class NoIdentityError(MemoKeyError):
    """A value has a type that `id_for_memo` does not know.

    Attributes:
        type_name: the type, with its module.
        where: the default or closure variable that holds the value; empty for an argument.
    """

    def __init__(self, type_name: str, where: str = "") -> None:
        self.type_name = type_name
        self.where = where
        super().__init__(type_name, where)

    def __str__(self) -> str:
        return f"id_for_memo makes no key for the type {self.type_name}. {advice_for(self.type_name)}"


def advice_for(type_name: str) -> str:
    """Sentence on how to make a type part of a key."""
    short = type_name.rpartition(".")[2]
    return (
        f"Define how two of them are compared: register a function that returns bytes, "
        f"@id_for_memo.register({short}) (from cnflow.dataflow.memo import id_for_memo)."
    )
