"""What clients of other servers speak: a folder for each, with its shapes, its routes and its errors."""
