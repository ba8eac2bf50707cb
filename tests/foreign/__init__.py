"""Archives of the shape that others release theirs in, from parts that are here."""
