"""What is computed online and offline with weights, in NumPy and ONNX; knows nothing of HTTP or bundles."""
