"""``python -m lurcher.training.tokens.general ENCODER BUNDLE ...``: writes the encoder's ``general.npz``.

The bundles should be of texts as different as those that will be ranked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.places import place_of
from lurcher.bundle.token_store import CODER
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.general import save_general

if __name__ == "__main__":
    encoder, *bundles = map(Path, sys.argv[1:])
    files = [bundle / place_of(read_manifest(bundle).files, CODER) for bundle in bundles]
    save_general([TokenCoder.load(file) for file in files], encoder)
