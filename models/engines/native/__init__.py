"""Kernels of our own in C: late interaction over packed codes, and text encoders in INT8.

``library`` loads them; where they cannot be had, NumPy and ONNX Runtime do the same.
"""
