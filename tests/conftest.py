"""What several packages' tests share: a tiny corpus, bundles of it, and the real corpora where they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.student import QUERY_GRAPH, STUDENT_FILE, Figure, StudentConfig
from tests.shared import Shared
from tests.tickets import tickets
from tests.tiny import TINY, TinyOptions, build

# HYPOTHESIS_PROFILE or --hypothesis-profile names one. Few examples, the same in each run, for every change;
# many, and others each time, at night.
settings.register_profile(
    "ci", max_examples=25, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.register_profile("nightly", max_examples=400, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

TOPICS = {
    "en": [
        "The cat sleeps on the warm windowsill all afternoon",
        "Trains between the two cities leave every twenty minutes",
        "Bread rises because yeast turns sugar into gas",
        "A glacier carves its valley over thousands of years",
        "The orchestra tunes to the oboe before each concert",
    ],
    "de": [
        "Die Katze schläft den ganzen Nachmittag auf der Fensterbank",
        "Züge zwischen den beiden Städten fahren alle zwanzig Minuten",
        "Brot geht auf, weil Hefe Zucker in Gas verwandelt",
        "Ein Gletscher formt sein Tal in Jahrtausenden",
        "Das Orchester stimmt vor jedem Konzert nach der Oboe",
    ],
    "fr": [
        "Le chat dort tout l'après-midi sur le rebord de la fenêtre",
        "Les trains entre les deux villes partent toutes les vingt minutes",
        "Le pain lève parce que la levure change le sucre en gaz",
        "Un glacier creuse sa vallée pendant des milliers d'années",
        "L'orchestre s'accorde sur le hautbois avant chaque concert",
    ],
}
NAMES = ["animals", "travel", "food", "earth", "music"]


@pytest.fixture(scope="session", autouse=True)
def plain_traces() -> None:
    """Logs traces as plain text: drawn with local variables, as by default, one takes ten seconds."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )


@pytest.fixture(scope="session")
def small_records() -> list[dict[str, Any]]:
    """Sixty short records: three languages, five topics, four variants of each."""
    return [
        {
            "id": f"{lang}-{NAMES[topic]}-{variant}",
            "title": f"{NAMES[topic]} {variant}",
            "text": f"{text}. Note {variant} of four.",
            "lang": lang,
            "year": 2000 + 5 * variant + topic,
            "tags": [NAMES[topic], "even" if variant % 2 == 0 else "odd"],
            "score": variant / 2 + topic / 8,
            "flag": variant % 2 == 0,
        }
        for variant in range(4)
        for lang, texts in TOPICS.items()
        for topic, text in enumerate(texts)
    ]


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[[Path, Iterable[Any]], Path]:
    """A function that writes one record a line into a file and gives the file's path back."""

    def write(path: Path, records: Iterable[Any]) -> Path:
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """What makes a folder once a run."""
    return Shared.of(tmp_path_factory, hasattr(request.config, "workerinput"))


@pytest.fixture(scope="session")
def small_corpus(
    small_records: list[dict[str, Any]],
    write_jsonl: Callable[[Path, Iterable[Any]], Path],
    shared: Shared,
) -> Path:
    """A JSONL file of sixty short passages with metadata of every filterable type."""
    name = "small.jsonl"
    return shared.once("corpus", lambda made: write_jsonl(made / name, small_records)) / name


@pytest.fixture(scope="session")
def build_once(small_corpus: Path, shared: Shared) -> Callable[..., Path]:
    """A function that gives the bundle of so many options, built by the tiny encoder once a run.

    Its corpus is ``small_corpus`` unless one is given. Copy it to change it.
    """

    def once(name: str, corpus: Path = small_corpus, **options: Any) -> Path:
        out = f"{name}.lurcher"
        return (
            shared.once(name, lambda made: build(corpus, made / out, TinyOptions(**options))) / out
        )

    return once


@pytest.fixture(scope="session")
def small_bundle(build_once: Callable[..., Path]) -> Path:
    """The bundle of ``small_corpus``. Copy it to change it."""
    return build_once("small", seed=1)


@pytest.fixture(scope="session")
def answering_bundle(build_once: Callable[..., Path]) -> Path:
    """``small_bundle`` with a reading store and a reader. Copy it to change it."""
    return build_once("answering", seed=1, answers=True)


@pytest.fixture(scope="session")
def tokenless_bundle(build_once: Callable[..., Path]) -> Path:
    """The bundle of ``small_corpus`` that has nothing to rank by; only to be read."""
    return build_once("tokenless", seed=1, tokens=None)


@pytest.fixture(scope="session")
def words_bundle(build_once: Callable[..., Path]) -> Path:
    """The bundle of ``small_corpus`` that was built without vectors; only to be read."""
    return build_once("words", seed=1, vectors=False, tokens=None)


@pytest.fixture(scope="session")
def ticket_bundle(small_bundle: Path, small_records: list[dict[str, Any]], shared: Shared) -> Path:
    """``small_bundle`` with ``tickets`` put in, tuned for them; only to be read."""
    judged, options = tickets(small_records), NeighbourOptions(keep_unseen=0)
    name = "tickets.lurcher"
    return (
        shared.once("tickets", lambda made: adapt(small_bundle, judged, options, made / name))
        / name
    )


@pytest.fixture
def write_student(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the folder of a student and gives its path back.

    It stands for a student of the tiny encoder: its graph is the teacher's own. Keywords change
    what it says of itself.
    """

    teacher = load_config(TINY)

    def write(**changes: Any) -> Path:
        student = StudentConfig(
            name="twin",
            teacher=teacher.fingerprint,
            dimension=teacher.dimension,
            layers=[0, 2],
            sparsity=0.0,
            pattern="unstructured",
            rank=0,
            precision="int8",
            activations="dynamic",
            losses={"l2": 1.0},
            queries=7,
            seed=0,
            figures=[Figure(data="SciFact dev", measure="nDCG@10", teacher=0.8, student=0.6)],
        ).model_copy(update=changes)
        folder = tmp_path / f"student-{student.name}"
        folder.mkdir()
        shutil.copyfile(TINY / "encoder.onnx", folder / QUERY_GRAPH)
        (folder / STUDENT_FILE).write_text(student.model_dump_json(indent=2) + "\n")
        return folder

    return write


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real corpora; tests that need it skip where it is not there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real corpora: {folder} is not there")
    return folder
