"""The builder's own code: what a function of it consists of."""
