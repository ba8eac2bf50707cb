"""File formats: a tree in, bytes out."""
