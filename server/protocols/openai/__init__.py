"""OpenAI's: ``/v1/embeddings`` and ``/v1/models``."""
