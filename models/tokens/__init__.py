"""Token states to 1-bit codes: clustered, projected, packed (the token store's side of BTR)."""
