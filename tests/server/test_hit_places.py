"""A hit says where in which document it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import Client, running, settings
from tests.tiny import TinyOptions, build


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("places")
    _write(folder / "corpus.jsonl")
    build(folder / "corpus.jsonl", folder / "b.lurcher", TinyOptions(url_prefix="https://d/"))
    with running(settings(folder / "b.lurcher")) as client:
        yield client


def _write(corpus: Path) -> None:
    corpus.write_text(
        '{"id": "cats", "title": "Cats", "passages": ["The cat sleeps on the warm windowsill",'
        ' {"text": "Bread rises in the oven", "section": ["Food", "Bread"]}]}\n'
        '{"id": "train", "text": "The train leaves in the morning"}\n'
    )


def test_a_part_names_its_document_and_section(client: Client) -> None:
    (hit, *_) = client.search("bread rises in the oven").json()["hits"]
    assert {k: hit[k] for k in hit if k not in ("score", "scores", "metadata")} == {
        "id": "cats#2", "title": "Cats > Food > Bread", "document": "cats",
        "section": ["Food", "Bread"], "start": 39, "end": 62, "url": "https://d/cats",
        "text": "Bread rises in the oven",
    }  # fmt: skip


def test_a_whole_document_is_its_own(client: Client) -> None:
    (hit, *_) = client.search("the train leaves in the morning").json()["hits"]
    assert (hit["id"], hit["document"], hit["section"]) == ("train", "train", [])
    assert (hit["start"], hit["end"]) == (0, len(hit["text"]))


def test_the_section_is_searched_and_aligned_in_the_title(client: Client) -> None:
    reply = client.search("food", include=["token_alignment"], top_k=1).json()
    (hit,) = reply["hits"]
    assert hit["id"] == "cats#2"
    matches = hit["token_alignment"]
    assert {match["part"] for match in matches} == {"title"}
    spans = [match["passage"] for match in matches]
    assert "".join(hit["title"][one["start"] : one["end"]] for one in spans) == "Food"
