"""A tiny bundle with a reading store, and questions that its passages answer."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import Bundle
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.reader.reader import ReaderConfig
from lurcher.training.ranker.questions import Judged, Questions
from lurcher.training.ranker.train import Sources
from lurcher.training.reader.batches import Library
from lurcher.training.reader.lower import LOWER, lower_states
from lurcher.training.reader.spans import Texts, locate
from lurcher.training.schedule import Schedule

PASSAGES, BITS = 24, 16
# The last passage has no words, and nothing asks for it or for the three before it.
ASKED = PASSAGES - 4

Answers = dict[str, list[str]]


def small_schedule(**changes: Any) -> Schedule:
    """One of few steps."""
    given = {"steps": 6, "batch": 4, "learning_rate": 5e-3, "mean": 0.5, "checks": 3, **changes}
    return Schedule(**given)


def answering_bundle(
    folder: Path, encoder: Path, corpus: Sequence[str], write_jsonl: Callable[..., Path]
) -> Path:
    """A bundle in ``folder`` of short passages in the words of ``corpus``, of 16 bits a token."""
    # No word is in half of the passages, but for one that is in all of them and has no codes.
    words = sorted({word.lower() for word in re.findall(r"\w+", " ".join(corpus))} - {"the"})
    generator = random.Random(3)
    deck = generator.sample(words * (PASSAGES // 2 - 1), len(words) * (PASSAGES // 2 - 1))

    def some(count: int) -> list[str]:
        return [deck.pop() for _ in range(count)]

    records = [
        {
            "id": f"p{row}",
            "title": " ".join(some(row % 3)),
            "text": " ".join(["The", deck.pop().title(), *some(generator.randint(5, 11))]),
        }
        for row in range(PASSAGES - 1)
    ]
    records.append({"id": f"p{PASSAGES - 1}", "title": "", "text": " \n"})
    out = folder / "answers.lurcher"
    options = BuildOptions(encoder, answers=True, answer_bits=BITS)
    build(write_jsonl(folder / "corpus.jsonl", records), out, options)
    return out


def asked_of(bundle: Bundle) -> tuple[Judged, Answers]:
    """A question of each passage but four, in words of it, answered by the two words that come between."""
    passages = bundle.passages.get(range(ASKED))
    texts, answers = [], {}
    for row, passage in enumerate(passages):
        words = passage.text.split()
        texts.append(" ".join([*words[1:3], *words[5:7]]))
        answers[f"q{row}"] = [" ".join(words[3:5]), "something that stands nowhere"]
    return Judged(texts, list(answers), [{row: 1} for row in range(ASKED)]), answers


def library_of(bundle: Bundle, folder: Path) -> Library:
    """What batches of those questions are made of; what is computed once goes to the new ``folder``."""
    (asked, answers), encoder = asked_of(bundle), bundle.query_encoder(1)
    questions = Questions.make(folder, bundle, encoder, asked, PASSAGES, 10)
    texts, store = Texts(bundle), bundle.reading
    assert store is not None
    answered = locate(bundle, texts, asked, questions, answers)
    states = lower_states(folder / LOWER, bundle, asked, questions)
    return Library(questions, states, answered, texts, store)


def write_sources(folder: Path, bundle: Bundle) -> Sources:
    """Those questions as files in ``folder``; the last six, in other words, to choose weights by."""
    asked, answers = asked_of(bundle)

    def write(name: str, places: range, end: str) -> tuple[Path, Path]:
        queries, qrels = folder / f"{name}.jsonl", folder / f"{name}.tsv"
        lines = [
            {"_id": id_, "text": asked.texts[i] + end, "answers": answers[id_]}
            for i in places
            for id_ in [asked.ids[i]]
        ]
        queries.write_text("".join(json.dumps(line) + "\n" for line in lines))
        judgements = [f"{asked.ids[i]}\tp{i}\t1" for i in places]
        qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judgements]) + "\n")
        return queries, qrels

    return Sources(*write("train", range(ASKED), ""), write("dev", range(ASKED - 6, ASKED), " go"))


def description(**changes: Any) -> ReaderConfig:
    """What a tiny reader says of itself."""
    given: dict[str, Any] = {
        "name": "tiny", "encoder": f"sha256:{'0' * 64}", "dimension": 32, "bits": BITS, "width": 16,
        "heads": 2, "layers": 1, "inner": 16, "longest": 24, "rank_weight": 0, "slope": 1,
        "offset": 0, "min_score": 0, "questions": 3, "steps": 4, "seed": 0,
    }  # fmt: skip
    return ReaderConfig(**given | changes)
