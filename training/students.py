"""``python -m lurcher.training.students NAME``: trains a student that ships, as its model card says.

DATA is the folder of data sets. Students are aligned on texts of many kinds, all without judgements:
questions and queries, sentences of Wikipedia and of abstracts, whole passages, keywords, code, messages of
programs, manual pages, descriptions of packages. MS MARCO's queries are left out, as their licence forbids
commercial use. Checkpoints are chosen by the share of the teacher's nDCG@10 kept on development splits of six
sets, and on SciFact's training claims, as it has none: by the mean and the lowest of these. BUNDLES is a
folder of those sets, built by `lurcher build` with the default encoder.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.student import STUDENT_FILE
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.threads import available_cpus
from lurcher.training.alignment.development import Development
from lurcher.training.alignment.make_student import Material, Plan, make_student, material
from lurcher.training.alignment.targets import Targets
from lurcher.training.alignment.teacher import original_of
from lurcher.training.original import load_original
from lurcher.training.texts import (
    keywords_of,
    messages_of_code,
    of_code,
    of_manuals,
    of_packages,
    passages_of,
    sentences_of,
    titles_and_sentences,
    whole_sentences,
)

# Weighed by hand before `python -m experiments.ablation` was there, in which scores pay only with pruning.
_FIRST = {"l2": 4.0, "tokens": 1.0, "scores": 2.0}

RECIPES = {
    "table": Plan(
        layers=(), rank=0, losses=_FIRST, learning_rate=3e-3, epochs=1, queries_a_batch=256
    ),
    "fast": Plan(layers=(5,), rank=64, queries_a_batch=128, epochs=3, checks=10),
    "balanced": Plan(layers=(0, 5), epochs=2.6, checks=10),
    "three": Plan(layers=(0, 1, 5), epochs=1.5, checks=10),
    "sparse": Plan(sparsity=0.6, pattern="4-block", learning_rate=1.5e-3, epochs=2.5, checks=10),
}
_INTRODUCTIONS = 50_000
_WIKIPEDIA = ("squad-open/corpus.jsonl", "ottqa-wiki/corpus.jsonl.gz")
# How many texts of each kind are drawn, at most.
_DRAWN = {
    "questions and sentences": 60_000,
    "abstracts": 39_000,
    "code": 21_000,
    "passages": 9_000,
    "keywords": 12_000,
    "messages": 9_600,
    "manuals": 8_000,
    "packages": 3_000,
}
# Whose passages score alignment ranks comes first. SciFact has no development split.
_CHOSEN_BY = {
    "squad-open": "dev",
    "nfcorpus": "dev",
    "scifact": "train",
    "cisi": "dev",
    "cosqa": "dev",
    "wikiqa": "dev",
}
_QUESTIONS = 1_000  # of a development split, drawn once


def read_pool(data: Path) -> list[str]:
    """Questions and queries, then sentences of Wikipedia, in a fixed order."""
    squad = data / "squad-open"
    training = read_qrels(squad / "qrels" / "train.tsv")
    queries = read_queries(squad / "queries.jsonl")
    texts = [text for id_, text in queries.items() if id_ in training]
    for file in sorted((data / "queries").glob("*.jsonl")):
        if "msmarco" not in file.name:
            texts.extend(read_queries(file).values())
    known = {passage for grades in training.values() for passage in grades}
    for id_, text in read_queries(squad / "corpus.jsonl").items():  # it has the same fields
        if id_ in known:
            texts.extend(whole_sentences(text))
    texts.extend(_introductions(data / "ottqa-wiki" / "corpus.jsonl.gz"))
    return _unique(texts)


def read_kinds(data: Path) -> dict[str, list[str]]:
    """The texts to align on, by kind; code, messages, manuals and packages are those of this machine."""
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    corpora = [data / name / "corpus.jsonl" for name in ("scifact", "nfcorpus")]
    abstracts = [text for corpus in corpora for text in titles_and_sentences(corpus)]
    texts = {
        "questions and sentences": read_pool(data),
        "abstracts": abstracts,
        "code": of_code(folders),
        "passages": chain.from_iterable(
            passages_of(corpus) for corpus in [*corpora, *(data / name for name in _WIKIPEDIA)]
        ),
        "keywords": keywords_of(abstracts),
        "messages": messages_of_code(folders),
        "manuals": of_manuals(Path("/usr/share/man")),
        "packages": of_packages(Path("/var/lib/dpkg/status")),
    }
    return {kind: _unique(found) for kind, found in texts.items()}


def draw(kinds: Mapping[str, list[str]], seed: int = 0) -> list[str]:
    """So many of each kind as ``_DRAWN`` says, or all there are, mixed."""
    generator = random.Random(seed)  # noqa: S311  # sampling, not cryptography
    drawn = [
        text
        for kind, texts in kinds.items()
        for text in generator.sample(texts, min(len(texts), _DRAWN[kind]))
    ]
    generator.shuffle(drawn)
    return _unique(drawn)


def _unique(texts: Iterable[str]) -> list[str]:
    """The first of each text, in whatever case; white space is one space."""
    clean = (" ".join(text.split()) for text in texts)
    unique: dict[str, str] = {}
    for text in clean:
        if text:
            unique.setdefault(text.lower(), text)
    return list(unique.values())


def _introductions(corpus: Path) -> list[str]:
    """One sentence of each of some Wikipedia introductions, drawn by a fixed seed."""
    generator = random.Random(0)  # noqa: S311  # sampling, not cryptography
    chosen = []
    for text in read_queries(corpus).values():
        usable = [s for s in sentences_of(text) if 6 <= len(s.split()) <= 32]
        if usable:
            chosen.append(generator.choice(usable))
    generator.shuffle(chosen)
    return chosen[:_INTRODUCTIONS]


def development_of(data: Path, name: str, split: str, bundle: Path) -> Development:
    """At most 1,000 queries of a split of the set ``name`` over the passages of ``bundle``."""
    qrels = read_qrels(data / name / "qrels" / f"{split}.tsv")
    judged = sorted(query for query, grades in qrels.items() if any(g > 0 for g in grades.values()))
    some = np.random.default_rng(0).permutation(judged)[:_QUESTIONS]
    queries = read_queries(data / name / "queries.jsonl")
    with closing(Bundle.open(bundle)) as opened:
        ids = [passage.id for passage in opened.passages.get(opened.all_rows())]
        vectors = opened.vectors.stored()[0 : len(ids)]
        return Development(name, vectors, ids, queries, {query: qrels[query] for query in some})


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.")],
    bundles: Annotated[Path, typer.Option(help="SET.lurcher of each set to choose by.")],
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    work: Annotated[Path, typer.Option(help="Targets and checkpoints.")] = Path("build/students"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train the student NAME, or go on with it, and put it into its folder under WORK."""
    run = work / f"{name}.partial"
    run.mkdir(parents=True, exist_ok=True)
    plan = replace(RECIPES[name], device=device)
    made_of = shipped_material(data, bundles, work)
    made = make_student(name, plan, made_of, run, print)
    made.rename(work / name)
    print((work / name / STUDENT_FILE).read_text())


def shipped_material(data: Path, bundles: Path, work: Path) -> Material:
    """What the students that ship are made of; the targets are made once, below ``work``."""
    encoder = Encoder.load(DEFAULT_ENCODER, "teacher", available_cpus())
    development = [
        development_of(data, name, split, bundles / f"{name}.lurcher")
        for name, split in _CHOSEN_BY.items()
    ]
    passages = np.asarray(development[0].passages)
    folder = work / "targets"
    try:
        targets = Targets.open(folder)
    except FileNotFoundError:
        targets = Targets.make(folder, encoder, draw(read_kinds(data)), passages)
    recipe = original_of(encoder.config, None)
    return material(
        DEFAULT_ENCODER, encoder, lambda: load_original(recipe, encoder.config.max_tokens), targets,
        passages, development,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
