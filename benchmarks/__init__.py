"""The product's figures: quality, speed and size, measured; each module is one ``lurcher bench`` command."""
