"""LangChain's retriever and embeddings, in process, over HTTP and with an event loop."""

from __future__ import annotations

import asyncio

import pytest

import lurcher
from lurcher.errors import FieldError
from tests.integrations.frameworks import OPTIONS, QUERY, wanted

pytest.importorskip("langchain_core", reason="the extra [langchain] is not installed")

from langchain_core.documents import Document

from lurcher.integrations.langchain import LurcherEmbeddings, LurcherRetriever


def test_documents_are_the_hits_with_what_a_citation_needs(here: lurcher.Collection) -> None:
    documents = LurcherRetriever(client=here, top_k=3, options=OPTIONS).invoke(QUERY)
    hits = here.search(QUERY, 3, filter={"lang": "en"}).hits
    assert [(one.id, one.page_content) for one in documents] == [(hit.id, hit.text) for hit in hits]
    assert [one.metadata for one in documents] == [wanted(hit) for hit in hits]


def test_a_call_may_change_what_is_searched(here: lurcher.Collection) -> None:
    retriever = LurcherRetriever(client=here, options=OPTIONS)
    (one,) = retriever.invoke(QUERY, top_k=1, filter={"lang": "de"})
    assert one.metadata["lang"] == "de"
    with pytest.raises(FieldError, match="colour: there is no such option"):
        retriever.invoke(QUERY, colour="red")


def test_server_gives_the_same_with_and_without_an_event_loop(
    here: lurcher.Collection, client: lurcher.Client, url: str
) -> None:
    async def ask() -> list[list[Document]]:
        async with lurcher.AsyncClient(url) as awaited:
            by_loop = await LurcherRetriever(async_client=awaited, top_k=2).ainvoke(QUERY)
            (vector,) = await LurcherEmbeddings(async_client=awaited).aembed_documents([QUERY])
            assert await LurcherEmbeddings(here).aembed_query(QUERY) == pytest.approx(
                vector, abs=1e-5
            )
        by_thread = await LurcherRetriever(client=client, top_k=2).ainvoke(QUERY)
        return [by_loop, by_thread]

    ids = [hit.id for hit in here.search(QUERY, 2).hits]
    for found in (*asyncio.run(ask()), LurcherRetriever(client=client, top_k=2).invoke(QUERY)):
        assert [one.id for one in found] == ids


def test_vectors_are_those_of_the_encoder(here: lurcher.Collection) -> None:
    embeddings = LurcherEmbeddings(here)
    assert embeddings.embed_query(QUERY) == here.embed([QUERY])[0].tolist()
    texts = ["bread", "trains"]
    assert embeddings.embed_documents(texts) == here.embed(texts, "passage").tolist()


def test_a_client_of_the_wrong_kind_is_named(here: lurcher.Collection, url: str) -> None:
    awaited = lurcher.AsyncClient(url)
    with pytest.raises(FieldError, match="client: give what"):
        LurcherRetriever()
    with pytest.raises(FieldError, match="pass it as async_client"):
        LurcherEmbeddings(awaited)
    with pytest.raises(FieldError, match="async_client: must be"):
        LurcherRetriever(async_client=here)
    with pytest.raises(FieldError, match="only an async_client"):
        LurcherEmbeddings(async_client=awaited).embed_query(QUERY)
    asyncio.run(awaited.close())
