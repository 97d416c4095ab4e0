"""Ids of values by reference: the digests of their bytes. A value and a reference to it are two different arguments."""

from __future__ import annotations

from cnflow.dataflow.memo.errors import NoIdentityError
from cnflow.dataflow.memo.values import id_for_memo
from cnflow.dataflow.references.kept_result import KeptResult
from cnflow.dataflow.references.ref import Ref

# ruff: noqa: ARG001, FBT001, FBT002 - as in `values`


@id_for_memo.register(Ref)
def _of_ref(obj: Ref[object], output_ref: bool = False) -> bytes:
    return obj.key


@id_for_memo.register(KeptResult)
def _of_kept_result(obj: KeptResult, output_ref: bool = False) -> bytes:
    if obj.holding is None:
        raise NoIdentityError("a result that was lost")  # it has become a value, which takes its place
    return obj.holding.item.key
