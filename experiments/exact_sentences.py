"""``python -m experiments.exact_sentences CORPUS BUNDLE``: are a corpus's own sentences found?

Sentences are drawn at random from a corpus's documents, as the bundle's build read them. One counts as found
if a hit among the first ten has it word for word, whichever document that is: boilerplate stands in many.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer

import lurcher
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.text import sentences

_WORDS = range(8, 41)


def main(
    corpus: Annotated[Path, typer.Argument(help="What the bundle was built from.")],
    bundle: Path,
    count: Annotated[int, typer.Option(help="Sentences in a draw.")] = 200,
    draws: Annotated[int, typer.Option(help="Each with a seed of its own, from 1 on.")] = 3,
) -> None:
    """Print the share of sentences that are found, draw by draw."""
    records = (record.document for record in read_corpus(corpus))
    found = [one for document in records if document for one in whole_sentences(document)]
    typer.echo(f"{len(found):,} sentences")
    with lurcher.open(bundle) as collection:
        for seed in range(1, draws + 1):
            drawn = random.Random(seed).sample(found, min(count, len(found)))  # noqa: S311 (sampling)
            hits = [one.hits for one in collection.search_many(drawn, 10)]
            kept = sum(
                any(one in plain(hit.text) for hit in some)
                for one, some in zip(drawn, hits, strict=True)
            )
            typer.echo(f"draw {seed}: {kept / len(drawn):.1%} of {len(drawn)} in ten")


def whole_sentences(document: Document) -> list[str]:
    """Sentences that begin with a capital letter, end with a mark and have 8 to 40 words."""
    text = list(document.text)
    for start, end in document.hidden:
        text[start:end] = "\n" * (end - start)
    visible = "".join(text)
    found = [plain(visible[start:end]) for start, end in sentences(visible)]
    return [
        one for one in found if len(one.split()) in _WORDS and one[0].isupper() and one[-1] in ".!?"
    ]


def plain(text: str) -> str:
    """``text`` with single blanks."""
    return " ".join(text.split())


if __name__ == "__main__":
    typer.run(main)
