"""Encoders run by OpenVINO on one thread, for ``lurcher bench engines``; it is in no list of requirements."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Encode = Callable[[npt.NDArray[np.int64]], object]


def encoders(fp32: Path | None, int8: Path) -> dict[str, Encode]:
    """What encodes tokens (B, L): ``fp32`` in two precisions if there is one, and ``int8``.

    Empty where OpenVINO is not installed.
    """
    if importlib.util.find_spec("openvino") is None:
        return {}
    kinds = {} if fp32 is None else {"fp32": (fp32, "f32"), "bf16": (fp32, "bf16")}
    # Floats between INT8 products are float32, as in the other engines.
    kinds["INT8"] = (int8, "f32")
    return {f"OpenVINO {name}": _encoder(*kind) for name, kind in kinds.items()}


def _encoder(graph: Path, precision: str) -> Encode:
    import openvino  # as few have it

    request: Any = (
        openvino.Core()
        .compile_model(
            str(graph), "CPU",
            {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision},
        )
        .create_infer_request()
    )  # fmt: skip
    return lambda ids: request.infer({"input_ids": ids, "attention_mask": np.ones_like(ids)})
