"""LlamaIndex's retriever, reranker and embeddings, in process, over HTTP and with an event loop."""

from __future__ import annotations

import asyncio

import pytest

import lurcher
from lurcher.errors import FieldError
from tests.integrations.frameworks import OPTIONS, QUERY, wanted

pytest.importorskip("llama_index.core", reason="the extra [llama-index] is not installed")

from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

from lurcher.integrations.llama_index import LurcherEmbedding, LurcherRerank, LurcherRetriever

TEXTS = ["The train leaves at noon.", "Bread rises because of yeast.", "A cat."]


def test_nodes_are_the_hits_with_what_a_citation_needs(here: lurcher.Collection) -> None:
    nodes = LurcherRetriever(here, top_k=3, options=OPTIONS).retrieve(QUERY)
    hits = here.search(QUERY, 3, filter={"lang": "en"}).hits
    assert [(one.node_id, one.text, one.score) for one in nodes] == [
        (hit.id, hit.text, hit.score) for hit in hits
    ]
    assert [one.metadata for one in nodes] == [wanted(hit) for hit in hits]
    first = nodes[0].node
    assert (first.start_char_idx, first.end_char_idx) == (0, len(hits[0].text))
    assert first.ref_doc_id == hits[0].passage.document
    read = first.get_content(metadata_mode=MetadataMode.LLM)
    assert f"title: {hits[0].passage.title}" in read
    assert "scores" not in read


def test_server_gives_the_same_with_and_without_an_event_loop(
    here: lurcher.Collection, client: lurcher.Client, url: str
) -> None:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]

    async def ask() -> list[list[NodeWithScore]]:
        async with lurcher.AsyncClient(url) as awaited:
            found = await LurcherRetriever(async_client=awaited, top_k=2).aretrieve(QUERY)
            ranked = await LurcherRerank(async_client=awaited).apostprocess_nodes(
                nodes, query_str=QUERY
            )
            assert ranked[0].text == TEXTS[1]
            embedding = LurcherEmbedding(async_client=awaited)
            assert await embedding.aget_text_embedding_batch(TEXTS) == [
                pytest.approx(one, abs=1e-5) for one in here.embed(TEXTS, "passage").tolist()
            ]
            assert len(await embedding.aget_query_embedding(QUERY)) == 96
        return [found, await LurcherRetriever(client, top_k=2).aretrieve(QUERY)]

    ids = [hit.id for hit in here.search(QUERY, 2).hits]
    for found in (*asyncio.run(ask()), LurcherRetriever(client, top_k=2).retrieve(QUERY)):
        assert [one.node_id for one in found] == ids


def test_reranker_keeps_the_best_with_their_scores(here: lurcher.Collection) -> None:
    nodes = [NodeWithScore(node=TextNode(text=text), score=1.0) for text in TEXTS]
    rerank = LurcherRerank(client=here, top_n=2)
    found = rerank.postprocess_nodes(nodes, query_str=QUERY)
    scores = here.rerank(QUERY, TEXTS).scores
    assert [(one.text, one.score) for one in found] == sorted(
        zip(TEXTS, scores, strict=True), key=lambda one: -one[1]
    )[:2]
    assert rerank.postprocess_nodes([], query_str=QUERY) == []
    assert [one.score for one in nodes] == [1.0] * 3
    with pytest.raises(FieldError, match="query_bundle"):
        rerank.postprocess_nodes(nodes)


def test_vectors_are_those_of_the_encoder(here: lurcher.Collection) -> None:
    embedding = LurcherEmbedding(client=here)
    assert embedding.get_query_embedding(QUERY) == here.embed([QUERY])[0].tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == here.embed(TEXTS, "passage").tolist()
    assert embedding.get_text_embedding(TEXTS[0]) == pytest.approx(
        here.embed(TEXTS[:1], "passage")[0].tolist()
    )
    assert "client" not in embedding.to_dict()
    with pytest.raises(FieldError, match="client: give what"):
        LurcherRerank()
