"""PEFA: known queries, and what they say of passages. Pure functions on arrays."""
