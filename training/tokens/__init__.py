"""Training of how token states become 1-bit codes (BTR's binarisation-aware training)."""
