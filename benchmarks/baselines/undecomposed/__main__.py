"""The command line: train, export, score."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import lurcher.benchmarks.baselines.undecomposed
from lurcher.benchmarks.baselines.undecomposed.graph import GRAPH, export, open_yardstick
from lurcher.benchmarks.baselines.undecomposed.network import load, read_torch, start
from lurcher.benchmarks.baselines.undecomposed.questions import examples, read_questions
from lurcher.benchmarks.baselines.undecomposed.scoring import Read, measure
from lurcher.benchmarks.baselines.undecomposed.train import Schedule, train
from lurcher.evaluation.measures import interval

app = typer.Typer(add_completion=False, help=lurcher.benchmarks.baselines.undecomposed.__doc__)
_Bundle = Annotated[Path, typer.Argument(help="Where passages are taken from.")]
_Data = Annotated[Path, typer.Argument(help="The data set's folder, as BEIR has it, with answers.")]
_Folder = Annotated[Path, typer.Option(help="Where weights, graph and figures go.")]
_Original = Annotated[Path | None, typer.Option(help="What to start from; the shipped encoder's.")]
_Threads = Annotated[int, typer.Option(help="Cores to use.")]


@app.command("train")
def train_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    steps: Annotated[int, typer.Option(help="Of 32 questions each.")] = 1_500,
    original: _Original = None,
    threads: _Threads = 1,
) -> None:
    """Train on questions of the train split; a run that was ended goes on."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    network, tokenizer = start(original)
    questions = read_questions(bundle, tokenizer, data, "train")
    found = examples(tokenizer, questions)
    typer.echo(f"{len(found):,} of {len(questions):,} questions are trained on")
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        typer.echo(f"step {step}/{steps}  loss {loss:.4f}  {time.monotonic() - started:.0f} s")

    train(network, found, Schedule(steps), out, report=report)


@app.command("export")
def export_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    check: Annotated[int, typer.Option(help="Questions of dev to hold it against torch on.")] = 64,
    original: _Original = None,
    threads: _Threads = 1,
) -> None:
    """Write what was trained as an INT8 graph."""
    torch.set_num_threads(threads)
    network, tokenizer = load(out, original)
    questions = read_questions(bundle, tokenizer, data, "dev", check)
    pairs = [tokenizer.pair(one.question, one.read) for one in questions]
    error = export(network, out / GRAPH, pairs)
    typer.echo(f"INT8 logits are {error:.3f} off float32's, relative to their size")


@app.command("score")
def score_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    split: Annotated[str, typer.Option(help="Of the judgements.")] = "dev",
    limit: Annotated[int | None, typer.Option(help="So many questions, the first.")] = None,
    original: _Original = None,
    threads: _Threads = 1,
) -> None:
    """Answer from gold paragraphs, by float32 and by INT8; write every answer's values to SET-SPLIT.json."""
    torch.set_num_threads(threads)
    network, tokenizer = load(out, original)
    questions = read_questions(bundle, tokenizer, data, split, limit)
    content: dict[str, Any] = {"queries": [one.id for one in questions]}
    with closing(open_yardstick(out, threads, original)) as yardstick:
        forms: dict[str, Read] = {
            "float32": lambda pairs: read_torch(network, pairs),
            "int8": yardstick,
        }
        for name, read in forms.items():
            found = measure(tokenizer, read, questions)
            shown = {"EM": interval(found.exact), "F1": interval(found.f1)}
            line = "  ".join(
                f"{what} {100 * f.mean:.2f} [{100 * f.low:.2f}, {100 * f.high:.2f}]"
                for what, f in shown.items()
            )
            typer.echo(f"{name:<8} {split}, {len(questions):,} questions  {line}")
            values = {"exact": found.exact.tolist(), "f1": found.f1.tolist()}
            content[name] = {"answers": found.answers, **values}
    (out / f"{data.name}-{split}.json").write_text(json.dumps(content) + "\n", "utf-8")


if __name__ == "__main__":
    app()
