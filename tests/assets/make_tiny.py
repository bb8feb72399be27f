"""``python -m tests.assets.make_tiny``: rebuilds ``tests/assets/tiny-encoder``, byte for byte on one machine.

Needs the environment of training. Nothing that is made here is good at anything: the encoder is a bag of
words, the reader finds words that stand between those of the question, and the decoder is random.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer

from lurcher.bundle.bundle import Bundle
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.encoders.config import TOKENIZER_FILE, load_config
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.tokens.projection import PROJECTION_FILE, Projection
from lurcher.training.alignment.make_student import Plan as StudentPlan
from lurcher.training.compress import compress
from lurcher.training.export import export_encoder
from lurcher.training.ranker.export import export_decoder
from lurcher.training.ranker.network import Decoder, Shape
from lurcher.training.ranker.train import Sources
from lurcher.training.reader.train import Plan as ReaderPlan
from lurcher.training.reader.train import train_reader
from lurcher.training.schedule import Schedule

FOLDER = Path(__file__).parent / "tiny-encoder"
WORDS = Path(__file__).with_name("words.txt")
NAME = "tiny"

DIMENSION, LAYERS, HEADS, INNER, TOKENS = 96, 3, 4, 64, 256
# Fewer than the encoder's dimensions and other than the token store's, so that mixing them up shows.
ANSWER_BITS = 80
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Above Latin only letters of the words themselves are kept.
_LATIN = 0x250
# Words that say nothing of what a text is about. They are kept apart in a few dimensions, which the last
# layer makes small, so that they weigh little in a vector.
_STOP = {
    *[
        "the",
        "a",
        "an",
        "of",
        "in",
        "on",
        "at",
        "to",
        "and",
        "or",
        "is",
        "are",
        "be",
        "it",
        "its",
        "as",
    ],
    *[
        "by",
        "for",
        "from",
        "with",
        "no",
        "not",
        "this",
        "that",
        "all",
        "each",
        "every",
        "other",
        "who",
    ],
    *["what", "where", "when", "how", "does", "do", "any", "some", "one", "there", "into", "over"],
    *["before", "after", "because", "between", "until"],
    *[
        "der",
        "die",
        "das",
        "den",
        "dem",
        "ein",
        "eine",
        "und",
        "oder",
        "ist",
        "auf",
        "zu",
        "zwischen",
    ],
    *["vor", "nach", "weil", "sein", "im", "alle"],
    *["le", "la", "les", "un", "une", "des", "du", "de", "et", "ou", "est", "sur", "dans", "tout"],
    *["toutes", "parce", "que", "entre", "avant", "se", "l", "s", "d"],
}
_SINK = 8
# How much of a state each half of a layer adds.
_ADDED = 0.2


def tokenizer() -> Tokenizer:
    """The default encoder's, with the tokens of ``WORDS`` and single characters alone: it cuts them alike."""
    theirs = Tokenizer.from_file(str(DEFAULT_ENCODER / TOKENIZER_FILE))
    theirs.no_padding()
    theirs.no_truncation()
    words = WORDS.read_text(encoding="utf-8").split()
    used = {token for word in words for token in theirs.encode(word).tokens}
    letters = set("".join(words))
    kept = [
        token
        for token, _ in sorted(theirs.get_vocab().items(), key=lambda pair: pair[1])
        if token not in SPECIAL and (token in used or _is_letter(token.removeprefix("##"), letters))
    ]
    description = json.loads(theirs.to_str())
    ids = {token: place for place, token in enumerate([*SPECIAL, *kept])}
    description["model"]["vocab"] = ids
    for added in description["added_tokens"]:
        added["id"] = ids[added["content"]]
    for name, special in description["post_processor"]["special_tokens"].items():
        special["ids"] = [ids[name]]
    return Tokenizer.from_str(json.dumps(description))


def _is_letter(token: str, letters: set[str]) -> bool:
    return len(token) == 1 and (ord(token) < _LATIN or token in letters)


def write_checkpoint(folder: Path) -> None:
    """Write the encoder's weights and its tokeniser into ``folder``, as transformers does."""
    backend = tokenizer()
    vocabulary = sorted(backend.get_vocab(), key=backend.token_to_id)
    torch.manual_seed(0)
    model = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(vocabulary), hidden_size=DIMENSION, num_hidden_layers=LAYERS,
            num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=TOKENS,
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    state = model.state_dict()
    for name, part in state.items():
        if part.dim() == 2:
            torch.nn.init.normal_(part, std=part.shape[1] ** -0.5)
        if name.endswith("output.dense.weight"):
            part *= _ADDED
        if name.endswith(("query.weight", "key.weight")):
            part *= 2  # attention that prefers some tokens to others
    state["embeddings.position_embeddings.weight"].normal_(std=0.05)
    state["embeddings.token_type_embeddings.weight"].zero_()
    state["embeddings.word_embeddings.weight"].copy_(
        torch.stack([_embedding(token) for token in vocabulary])
    )
    state[f"encoder.layer.{LAYERS - 1}.output.LayerNorm.weight"][:_SINK] = 0.1
    model.load_state_dict(state)
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=TOKENS,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL},
    ).save_pretrained(folder)  # fmt: skip


def _embedding(token: str) -> torch.Tensor:
    says = 1.0
    if token in SPECIAL or token in _STOP or not token.removeprefix("##").isalnum():
        says = 0.25
    elif token.startswith("##") and len(token) < 5:
        says = 0.5
    found = torch.randn(DIMENSION)
    found[:_SINK] *= ((DIMENSION - says**2 * (DIMENSION - _SINK)) / _SINK) ** 0.5
    found[_SINK:] *= says
    return found


def write_projection(bundle: Path, file: Path) -> None:
    """Write the projection that the bundle's coder has, with queries that are projected a little apart."""
    with closing(Bundle.open(bundle)) as opened:
        assert opened.tokens is not None
        found = opened.tokens.coder.projection
    noise = np.random.default_rng(0).standard_normal(found.queries.shape).astype(np.float32)
    Projection(found.passages, found.queries + np.float32(0.01) * noise).save(file)


def write_decoder(encoder: Path) -> None:
    """Write a decoder beside ``encoder`` that changes late interaction's scores a little, at random."""
    config, projection = load_config(encoder), Projection.load(encoder / PROJECTION_FILE)
    shape = Shape(config.dimension, projection.bits, width=16, heads=2)
    torch.manual_seed(0)
    decoder = Decoder(shape)
    for last in (decoder.value, decoder.gate):
        torch.nn.init.normal_(last.weight, std=0.5)
    (encoder / "ranker").mkdir()
    described = DecoderConfig(
        name=NAME, encoder=config.fingerprint, projection_hash=projection.projection_hash, bits=shape.bits,
        dimension=shape.dimension, width=shape.width, heads=shape.heads, layers=shape.layers,
        crossings=shape.crossings, candidates=50, questions=0, steps=0, seed=0,
    )  # fmt: skip
    export_decoder(decoder, described, encoder / "ranker")


class Questions:
    """Passages of random words, and a question for each: what stands between these words?"""

    def __init__(self, folder: Path, count: int = 200) -> None:
        words = [w for w in WORDS.read_text(encoding="utf-8").split() if len(w) > 2 and w.isascii()]
        drawn = random.Random(0)
        texts = [drawn.sample(words, drawn.randint(8, 24)) for _ in range(count)]
        self.corpus = folder / "corpus.jsonl"
        _write(self.corpus, ({"id": f"p{i}", "text": " ".join(t)} for i, t in enumerate(texts)))
        self.texts = [" ".join(text[:3]) for text in texts]
        self.queries, self.qrels = folder / "queries.jsonl", folder / "qrels.tsv"
        records, judged = [], ["query-id\tcorpus-id\tscore"]
        for number, text in enumerate(texts * 5):
            at, size = drawn.randint(2, len(text) - 5), drawn.randint(1, 3)
            asked = ["who", *text[at - 2 : at], "what", *text[at + size : at + size + 2]]
            answers = [" ".join(text[at : at + size])]
            records.append({"_id": f"q{number}", "text": " ".join(asked), "answers": answers})
            judged.append(f"q{number}\tp{number % count}\t1")
        _write(self.queries, records)
        self.qrels.write_text("\n".join(judged) + "\n")
        self.sources = Sources(self.queries, self.qrels)


def _write(file: Path, records: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def make(folder: Path = FOLDER) -> None:
    """Make the encoder and all that comes with it anew in ``folder``."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix=".tiny.", dir=folder.parent) as given:
        work = Path(given)
        original, made = work / NAME, work / "made"
        write_checkpoint(original)
        export_encoder(original, made, name=NAME, max_tokens=TOKENS)
        questions = Questions(work)
        first = work / "first.lurcher"
        build(questions.corpus, first, BuildOptions(made, answers=True, answer_bits=ANSWER_BITS))
        write_projection(first, made / PROJECTION_FILE)
        write_decoder(made)
        reader = ReaderPlan(
            width=32, heads=4, layers=2, inner=64,
            schedule=Schedule(200, 16, learning_rate=3e-3, mean=0.95, checks=1),
        )  # fmt: skip
        train_reader(first, questions.sources, made / "reader", reader, NAME, print)
        student = StudentPlan(depth=1, rank=0, epochs=8, learning_rate=2e-3)
        (made / "students").mkdir()
        compress(
            made,
            questions.texts,
            made / "students" / "fast",
            student,
            original=original,
            report=print,
        )
        for curve in (*made.rglob("*.csv"), *made.rglob("*.svg")):
            curve.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


if __name__ == "__main__":
    make()
