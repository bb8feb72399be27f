"""JSON, a record an object: lines, lists and objects over several lines."""
