"""``python -m lurcher.benchmarks.unanswerable``: SQuAD 2.0's questions that its paragraphs do not answer.

They were written to look answerable (Rajpurkar et al. 2018, "Know What You Don't Know"): about the paragraph,
with a wrong answer of the right kind in it. `lurcher eval --answers` says how often a bundle is silent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lurcher.errors import CorpusError


def main(
    squad: Annotated[Path, typer.Argument(help="dev-v2.0.json, as published.")],
    out: Annotated[Path, typer.Argument(help="A folder for queries.jsonl and qrels.tsv.")],
) -> None:
    """Write them, each with no answer, and the paragraphs' titles in the place of passages."""
    try:
        articles = json.loads(squad.read_text("utf-8"))["data"]
        asked = [
            (article["title"], one["id"], one["question"])
            for article in articles
            for paragraph in article["paragraphs"]
            for one in paragraph["qas"]
            if one["is_impossible"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(squad, None, f"not SQuAD 2.0: {error!r}") from error
    out.mkdir(parents=True, exist_ok=True)
    queries = ({"_id": id_, "text": text, "answers": []} for _, id_, text in asked)
    lines = "".join(json.dumps(query) + "\n" for query in queries)
    (out / "queries.jsonl").write_text(lines, "utf-8")
    judged = "".join(f"{id_}\t{title}\t1\n" for title, id_, _ in asked)
    (out / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", "utf-8")
    typer.echo(f"{out}: {len(asked):,} questions")


if __name__ == "__main__":
    typer.run(main)
