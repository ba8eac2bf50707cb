"""No tests: bundles as tests need them, good and bad, and servers that give them."""
