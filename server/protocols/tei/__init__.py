"""Those of text-embeddings-inference (TEI), which Hugging Face's clients call."""
