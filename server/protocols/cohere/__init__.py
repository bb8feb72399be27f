"""Cohere's: reranking, as Jina's and Voyage's clients do it, too, and embedding; versions 1 and 2 of both."""
