"""``python -m experiments.decoder``: what of the decoder matters, one thing changed at a time.

Every cell is one decoder, trained on the same questions of squad-open for the same few steps and measured
by MRR@10 on the same development questions, which each rank the 50 passages that late interaction finds
best. The budget is small on purpose: cells compare with each other, not with the decoder that ships. What
ships is trained with three seeds, which shows how much of a difference is chance.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matplotlib.figure import Figure
from rich.console import Console

from experiments.decoder_likelihood import Likelihood, Reading, Vocabulary, best_blend
from experiments.decoder_losses import LOSSES
from experiments.decoder_states import Ground, Halved, in_float16, random_candidates, without_prior
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.models.encoders.encoder import Encoder
from lurcher.threads import available_cpus
from lurcher.training.plot import save_plot
from lurcher.training.ranker.batches import scores
from lurcher.training.ranker.decoder_training import Schedule, train
from lurcher.training.ranker.network import Decoder, Shape
from lurcher.training.ranker.questions import Judged, Questions, token_store
from lurcher.training.ranker.train import Sources, mined, split

_SET, FLOAT16 = "squad-open", "merged, float16"
_QUESTIONS, _CANDIDATES = 9_600, 50
_STEPS, _CHECKS = 600, 3
_SEEDS = (0, 1, 2)
MEASURE = "MRR@10"


@dataclass(frozen=True)
class Setting:
    """One decoder; what is not said is as in the one that ships."""

    width: int = 64
    heads: int = 4
    layers: int = 1
    crossings: int = 1
    negatives: int = 19
    random: bool = False  # whether negatives are any passages, not what is found for the question
    prior: bool = True
    loss: str = "listwise"
    score: str = "relevance"
    states: str = _SET  # the bundle that they are of, or FLOAT16
    steps: int = _STEPS
    seed: int = 0


SHIPS = Setting()
_CHANGES: dict[str, dict[str, Setting]] = {
    "shape": {
        "width 32": Setting(width=32),
        "width 128": Setting(width=128),
        "1 head": Setting(heads=1),
        "no layer that reads the query alone": Setting(layers=0),
        "2 layers that read the query alone": Setting(layers=2),
        "2 layers that read passages": Setting(crossings=2),
        "width 128, 2 layers of either kind": Setting(width=128, layers=2, crossings=2),
    },
    "training": {
        "4 negatives": Setting(negatives=4),
        "49 negatives": Setting(negatives=49),
        "negatives at random": Setting(random=True),
        "a third of the steps": Setting(steps=_STEPS // 3),
        "without the prior": Setting(prior=False),
    },
    "loss": {
        "pairs (RankNet)": Setting(loss="pairs"),
        "true or false (ED2LM)": Setting(loss="true or false"),
        "margin": Setting(loss="margin"),
    },
    "score": {
        "query likelihood": Setting(score="likelihood", loss="likelihood"),
        "query likelihood, unlikelihood of negatives (ED2LM)": Setting(
            score="likelihood", loss="unlikelihood"
        ),
        "query likelihood, listwise": Setting(score="likelihood"),
        "relevance and query likelihood": Setting(score="both"),
    },
    "states": {
        "merged, float16": Setting(states=FLOAT16),
        "not merged, 1 bit": Setting(states="whole"),
        "components, not trained": Setting(states="untrained"),
        "components of layer 5 of 6": Setting(states="layer-5"),
        "components of layer 4": Setting(states="layer-4"),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One line of the table: MRR@10 of late interaction, and of the decoder."""

    part: str
    label: str
    seed: int
    before: float
    after: float


def main(
    bundles: Annotated[Path, typer.Option(help="Where squad-open.lurcher and its like are.")] = Path(
        "build"
    ),
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    work: Annotated[Path, typer.Option(help="Where questions and candidates are kept.")] = Path(
        "build/decoders"
    ),
    out: Annotated[Path, typer.Option(help="The folder of the table and the plot.")] = Path(
        "docs/decoder"
    ),
) -> None:  # fmt: skip
    """Train every cell; write cells.jsonl, table.md and plot.svg, going on where a run ended."""
    console = Console(width=140)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "cells.jsonl"
    known = file.read_text().splitlines() if file.exists() else []
    cells = [Cell(**json.loads(line)) for line in known]
    done = {(cell.label, cell.seed) for cell in cells}
    with Grounds(bundles, data / _SET, work, console) as grounds:
        for part, label, setting in lines():
            if (label, setting.seed) in done:
                continue
            before, after = measure(setting, grounds, work / "cell")
            cells.append(Cell(part, label, setting.seed, round(before, 4), round(after, 4)))
            with file.open("a") as written:
                written.write(json.dumps(asdict(cells[-1])) + "\n")
            console.print(f"{part:<9} {label:<52} {before:.4f} to {after:.4f}", highlight=False)
    (out / "table.md").write_text(_table(cells))
    _plot(cells, out / "plot.svg")


def lines() -> Iterator[tuple[str, str, Setting]]:
    """Part, label and setting of every cell."""
    for seed in _SEEDS:
        yield "ships", "as it ships", replace(SHIPS, seed=seed)
    for part, changes in _CHANGES.items():
        for label, setting in changes.items():
            yield part, label, setting


class Grounds:
    """What decoders are trained on, by the states that they read; each is made when it is asked for."""

    def __init__(self, bundles: Path, data: Path, work: Path, console: Console) -> None:
        self._bundles, self._work, self._console = bundles, work, console
        queries, qrels = data / "queries.jsonl", data / "qrels"
        self._sources = Sources(queries, qrels / "train.tsv", (queries, qrels / "dev.tsv"))
        self._open = ExitStack()
        self.of = cache(self._of)

    def __enter__(self) -> Grounds:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def bundle(self, name: str) -> Bundle:
        """The opened one of that name."""
        bundle = Bundle.open(self._bundles / f"{name}.lurcher")
        self._open.callback(bundle.close)
        return bundle

    def judged(self, bundle: Bundle) -> tuple[Judged, Judged]:
        """The questions to train on, and those of development."""
        return split(bundle, self._sources, 0, _QUESTIONS)

    def _of(self, states: str) -> Ground:
        if states == FLOAT16:
            bundle = self.bundle(_SET)
            encoder = Encoder.load(bundle.path / ENCODER, "passage", available_cpus())
            return in_float16(self.of(_SET), bundle, encoder, self._work)
        bundle = self.bundle(states)
        encoder = bundle.query_encoder(available_cpus())
        questions, held = (
            mined(self._work / states / what, bundle, encoder, judged, _CANDIDATES, self._console.print)
            for what, judged in zip(("questions", "development"), self.judged(bundle), strict=True)
        )  # fmt: skip
        return Ground(questions, held, token_store(bundle))

    def with_random_candidates(self, questions: Questions) -> Questions:
        """``questions``, those of what ships, with any passages as candidates."""
        bundle = self.bundle(_SET)
        judged = self.judged(bundle)[0]
        texts = [judged.texts[place] for place in questions.kept.tolist()]
        return random_candidates(
            questions, bundle.query_encoder(available_cpus()).encode(texts), bundle, 0
        )

    def vocabulary(self) -> Vocabulary:
        """The tokens of the questions that what ships is trained on, and what they mean."""
        bundle, ground = self.bundle(_SET), self.of(_SET)
        both = zip(self.judged(bundle), (ground.questions, ground.development), strict=True)
        texts = [[judged.texts[place] for place in of.kept.tolist()] for judged, of in both]
        return Vocabulary.of(bundle, *texts)


def measure(setting: Setting, grounds: Grounds, folder: Path) -> tuple[float, float]:
    """MRR@10 of the development questions by late interaction, and by the decoder of ``setting``."""
    ground = grounds.of(setting.states)
    held = ground.development
    before = held.quality()[MEASURE]
    if setting.random:
        ground = replace(ground, questions=grounds.with_random_candidates(ground.questions))
    if not setting.prior:
        held = without_prior(held)
        ground = replace(ground, questions=without_prior(ground.questions), development=held)
    schedule = Schedule(
        steps=setting.steps, negatives=setting.negatives, checks=_CHECKS, seed=setting.seed
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = held.prior
    if setting.score != "likelihood":
        torch.manual_seed(setting.seed)
        kind = Halved if setting.states == FLOAT16 else Decoder
        shape = Shape(
            ground.dimension, ground.bits, setting.width, setting.heads, setting.layers,
            setting.crossings,
        )  # fmt: skip
        decoder = kind(shape, 0.1)
        train(
            decoder, ground.questions, held, ground.store, schedule, folder,
            lost=LOSSES[setting.loss],
        )  # fmt: skip
        found = scores(decoder, held, ground.store)
    if setting.score == "relevance":
        return before, held.quality(found)[MEASURE]
    vocabulary = grounds.vocabulary()
    torch.manual_seed(setting.seed)
    model = Likelihood(ground.bits, setting.width, setting.heads, vocabulary.embeddings)
    reading = Reading(ground, vocabulary, model)
    reading.train("unlikelihood" if setting.score == "both" else setting.loss, schedule, folder)
    return before, best_blend(held, found, reading.likelihoods())


def _table(cells: Sequence[Cell]) -> str:
    ships = float(np.mean([cell.after for cell in cells if cell.part == "ships"]))
    head = "| | late interaction | decoder | against what ships |"
    rows = [head, "|---|---|---|---|"]
    rows += [
        f"| {cell.label}{f', seed {cell.seed}' if cell.part == 'ships' else ''} | {cell.before:.4f} "
        f"| {cell.after:.4f} | {cell.after - ships:+.4f} |"
        for cell in cells
    ]
    return "\n".join(rows) + "\n"


def _plot(cells: Sequence[Cell], file: Path) -> None:
    """A bar a cell, beside what ships."""
    shown = [cell for cell in cells if cell.seed == 0][::-1]
    figure = Figure(figsize=(8, 0.27 * len(shown) + 1))
    panel = figure.subplots()
    parts = ["ships", *_CHANGES]
    panel.barh(
        [cell.label for cell in shown], [cell.after for cell in shown],
        color=[f"C{parts.index(cell.part)}" for cell in shown],
    )  # fmt: skip
    ships = [cell.after for cell in cells if cell.part == "ships"]
    panel.axvspan(
        min(ships), max(ships), color="black", alpha=0.15, label="what ships, three seeds"
    )
    panel.axvline(
        cells[0].before, color="black", linewidth=0.6, linestyle=":", label="late interaction"
    )
    panel.set_xlim(
        min(cell.after for cell in shown) - 0.01, max(cell.after for cell in shown) + 0.005
    )
    panel.set_xlabel(f"{MEASURE} of development questions")
    panel.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    save_plot(figure, file)


if __name__ == "__main__":
    typer.run(main)
