"""Ablations behind a decision. Run by hand from the repository: ``python -m experiments.NAME --help``.

They are in neither wheel nor CI, nothing imports them, and what they found is in docs/.
"""
