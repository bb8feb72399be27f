"""Text to vectors: tokeniser, and the encoder on either side of a search."""
