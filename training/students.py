"""``python -m lurcher.training.students NAME``: trains a student that ships, as its model card says.

DATA is the folder of data sets. Aligned on the training questions of squad-open, on the query pools
beside it (MS MARCO's left out, whose licence forbids commercial use), and on sentences of Wikipedia:
those of squad-open's training passages, and one each of 50,000 introductions. `sparse` is aligned
on texts of other kinds as well: titles and sentences of SciFact and NFCorpus, and what Python's own library
says of its functions. Checkpoints are chosen by the mean share of the teacher's nDCG@10 kept on squad-open's
and NFCorpus's development splits, and on SciFact's training claims, as it has none. BUNDLES is a folder of
those sets, built by `lurcher build` with the default encoder.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
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
from lurcher.training.texts import of_code, sentences_of, titles_and_sentences

# Weighed by hand before `python -m experiments.ablation` was there, in which scores pay only with pruning.
_FIRST = {"l2": 4.0, "tokens": 1.0, "scores": 2.0}

RECIPES = {
    "table": Plan(
        layers=(), rank=0, losses=_FIRST, learning_rate=3e-3, epochs=1, queries_a_batch=256
    ),
    "fast": Plan(layers=(5,), rank=0, losses=_FIRST, learning_rate=3e-3, epochs=1.5, checks=6),
    "balanced": Plan(layers=(0, 5), epochs=2, checks=10),
    "three": Plan(layers=(0, 1, 5), epochs=1.5, checks=10),
    "sparse": Plan(sparsity=0.6, pattern="4-block", learning_rate=1.5e-3, epochs=2.5, checks=10),
}
_MANY_KINDS = ("sparse",)  # recipes that read texts of many kinds
_INTRODUCTIONS = 50_000
# Whose passages score alignment ranks comes first. SciFact has no development split.
_CHOSEN_BY = {"squad-open": "dev", "nfcorpus": "dev", "scifact": "train"}
_QUESTIONS = 1_000  # of a development split, drawn once


def read_pool(data: Path) -> list[str]:
    """The texts to align on, in a fixed order: questions and queries, then sentences.

    Claims are sentences, not questions: about three questions to a sentence, as LEAF mixes them.
    """
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
            texts.extend(s for s in sentences_of(text) if 4 <= len(s.split()) <= 40)
    texts.extend(_introductions(data / "ottqa-wiki" / "corpus.jsonl.gz"))
    return _unique(texts)


def read_other_kinds(data: Path) -> list[str]:
    """Texts of other kinds than ``read_pool``'s: titles and sentences of abstracts, and of code."""
    texts = of_code([Path(sysconfig.get_path("stdlib"))])
    corpora = [data / name / "corpus.jsonl" for name in ("scifact", "nfcorpus")]
    return _unique([*texts, *(text for corpus in corpora for text in titles_and_sentences(corpus))])


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
    made_of = shipped_material(data, bundles, work, many_kinds=name in _MANY_KINDS)
    made = make_student(name, plan, made_of, run, print)
    made.rename(work / name)
    print((work / name / STUDENT_FILE).read_text())


def shipped_material(
    data: Path, bundles: Path, work: Path, *, many_kinds: bool = False
) -> Material:
    """What the students that ship are made of; the targets are made once, below ``work``."""
    encoder = Encoder.load(DEFAULT_ENCODER, "teacher", available_cpus())
    development = [
        development_of(data, name, split, bundles / f"{name}.lurcher")
        for name, split in _CHOSEN_BY.items()
    ]
    passages = np.asarray(development[0].passages)
    folder = work / ("targets-of-many-kinds" if many_kinds else "targets")
    try:
        targets = Targets.open(folder)
    except FileNotFoundError:
        texts = _unique([*read_pool(data), *(read_other_kinds(data) if many_kinds else [])])
        targets = Targets.make(folder, encoder, texts, passages)
    recipe = original_of(encoder.config, None)
    return material(
        DEFAULT_ENCODER, encoder, lambda: load_original(recipe, encoder.config.max_tokens), targets,
        passages, development,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
