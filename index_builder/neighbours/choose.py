"""Which mode of known queries a bundle should use, and with which settings: tried on queries with answers.

Two sets of queries are searched. The *development* queries say how much is won. The *unseen* ones say what
is lost where nobody asked before: known queries whose passages, all of them, are stripped of every known
query for the trial. Among the settings that keep enough on the unseen ones, the best on development
queries wins; "off" wins where none is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import product

import numpy as np

from lurcher.bundle.neighbours import AdaptedSettings, Mode, Trial, VotingSettings
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.index_builder.neighbours.candidates import MOST_NEIGHBOURS, Candidates, Measured
from lurcher.index_builder.neighbours.splits import Split

# Of many settings one is always a little better by chance.
_WORTH = 1.01
_SAFE_MARGIN = 0.1


@dataclass(frozen=True)
class Grid:
    """The settings that are tried, each combination of a mode's."""

    adapted_weights: Sequence[float] = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
    neighbours: Sequence[int] = (4, 16, MOST_NEIGHBOURS)
    temperatures: Sequence[float] = (0.05, 0.1, 0.2)
    margins: Sequence[float] = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
    voting_weights: Sequence[float] = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

    def adapted(self) -> list[AdaptedSettings]:
        """Those of adapted mode."""
        return [AdaptedSettings(dense_weight=weight) for weight in self.adapted_weights]

    def voting(self, least_margin: float | None) -> list[VotingSettings]:
        """Those of voting mode, perhaps without those of a smaller margin."""
        return [
            VotingSettings(
                neighbours=neighbours, temperature=temperature, margin=margin, dense_weight=weight
            )
            for neighbours, temperature, margin, weight in product(
                self.neighbours, self.temperatures, self.margins, self.voting_weights
            )
            if least_margin is None or margin >= least_margin
        ]


@dataclass(frozen=True)
class Choice:
    """What won, each mode's best settings, and how they did."""

    mode: Mode
    adapted: AdaptedSettings
    voting: VotingSettings
    trials: list[Trial]


def choose(
    index: VectorStore, development: Sequence[Split], unseen: Sequence[Split] | None,
    keep: float, grid: Grid = Grid(),
) -> Choice:  # fmt: skip
    """The best mode, and the best settings of each, over the passages of ``index``.

    ``keep`` is the share of the bare nDCG@10, Recall@10 and Recall@100 to be kept on unseen queries.
    Where ``unseen`` is None, nobody knows, and only settings are tried that have never been seen to lose
    much: votes with a margin. ``grid`` has the settings that are tried.
    """
    seen = [Candidates(index, split) for split in development]
    hidden = [Candidates(index, split) for split in unseen or ()]

    def trial_of(mode: Mode, setting: AdaptedSettings | VotingSettings | None) -> Trial:
        return _trial(mode, _mean(seen, setting), _mean(hidden, setting))

    def tried(
        mode: Mode, settings: Sequence[AdaptedSettings | VotingSettings]
    ) -> tuple[int, Trial]:
        """The place of the best of ``settings`` that keep enough, or of what keeps most."""
        trials = [trial_of(mode, setting) for setting in settings]
        keeping = [i for i, trial in enumerate(trials) if _kept(trial, off) >= keep]
        if keeping:
            place = max(keeping, key=lambda i: trials[i].ndcg)
        else:
            place = max(range(len(trials)), key=lambda i: _kept(trials[i], off))
        return place, trials[place]

    off = trial_of("off", None)
    adapted_grid = grid.adapted()
    voting_grid = grid.voting(None if unseen is not None else _SAFE_MARGIN)
    adapted_place, adapted = tried("adapted", adapted_grid)
    voting_place, voting = tried("voting", voting_grid)
    trials = [off, adapted, voting]
    safe = (voting,) if unseen is None else (adapted, voting)
    worth = [t for t in safe if _kept(t, off) >= keep and t.ndcg >= _WORTH * off.ndcg]
    best = max(
        worth, key=lambda trial: trial.ndcg, default=off
    )  # of equal ones the simpler, adapted
    return Choice(best.mode, adapted_grid[adapted_place], voting_grid[voting_place], trials)


def _mean(
    parts: Sequence[Candidates], settings: AdaptedSettings | VotingSettings | None
) -> Measured | None:
    """The mean over the queries of all ``parts``; None if there are none."""
    if not parts:
        return None
    values = [astuple(part.measure(settings)) for part in parts]
    return Measured(*np.average(values, axis=0, weights=[p.count for p in parts]).tolist())


def _trial(mode: Mode, seen: Measured | None, unseen: Measured | None) -> Trial:
    assert seen is not None  # noqa: S101 (there are development queries)
    return Trial(
        mode=mode,
        ndcg=seen.ndcg,
        recall=seen.recall,
        unseen_ndcg=None if unseen is None else unseen.ndcg,
        unseen_recall_10=None if unseen is None else unseen.recall_10,
        unseen_recall=None if unseen is None else unseen.recall,
    )


def _kept(trial: Trial, off: Trial) -> float:
    """The share of the bare figures on unseen queries that ``trial`` keeps, of the worst kept one."""
    pairs = (
        (trial.unseen_ndcg, off.unseen_ndcg),
        (trial.unseen_recall_10, off.unseen_recall_10),
        (trial.unseen_recall, off.unseen_recall),
    )
    return min((has / had for has, had in pairs if has is not None and had), default=1.0)
