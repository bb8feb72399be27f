"""Cohere's: ``/v1/rerank`` and ``/v2/rerank``; Jina's and Voyage's clients rerank so, too."""
