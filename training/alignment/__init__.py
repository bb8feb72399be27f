"""KALE: a smaller query encoder aligned with a frozen teacher on queries alone (Campos et al. 2023)."""
