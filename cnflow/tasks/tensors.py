"""Tensors of the Open Inference Protocol, and rows made of them. Standard library; NumPy where it is installed."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class Tensor(NamedTuple):
    """One named tensor."""

    name: str
    datatype: str
    """As the protocol has it: BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64, BF16, BYTES."""

    shape: Tuple[int, ...]
    """The first dimension counts the rows."""

    data: bytes
    """Elements in row-major order, little-endian, one byte for each BOOL; of BYTES four bytes of length before each."""
