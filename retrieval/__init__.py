"""The core without HTTP: from a query to its hits and answers, on arrays."""
