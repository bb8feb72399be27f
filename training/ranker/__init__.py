"""What makes the models that score a query and its candidates."""
