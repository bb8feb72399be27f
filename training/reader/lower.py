"""The lower states of questions, computed once: what a reader reads beside its passages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.models.encoders.encoder import Encoder
from lurcher.threads import available_cpus
from lurcher.training.ranker.questions import Judged, Questions

LOWER = "lower.f16"
_CHUNK = 256  # questions encoded at a time


def lower_states(
    file: Path, bundle: Bundle, judged: Judged, questions: Questions
) -> npt.NDArray[np.float16]:
    """Those of the tokens of ``questions``, which are of ``judged``, (T, d), memory-mapped from ``file``.

    They are made where it is not there yet, by the passages' graph, as when the bundle is served.
    """
    if not file.exists():
        encoder = Encoder.load(bundle.path / ENCODER, "teacher", available_cpus())
        new = file.with_suffix(".new")
        with new.open(
            "wb"
        ) as out:  # written, not mapped: a full disk is then an error, not a signal
            for first in range(0, len(questions), _CHUNK):
                kept = questions.kept[first : first + _CHUNK].tolist()
                tokens = encoder.tokenise([judged.texts[place] for place in kept])
                for text, found in zip(tokens, encoder.lower_states(tokens), strict=True):
                    out.write(found[encoder.own_tokens(text)].astype(np.float16).tobytes())
        new.replace(file)
    shape = (int(questions.ends[-1]), bundle.encoder.dimension)
    return np.memmap(file, np.float16, "r", shape=shape)
