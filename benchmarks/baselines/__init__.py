"""What the product's figures are held against: transformers that read question and passage together."""
