"""Updates of the node: from a signed bundle to the slot that does not run, and back when it is no good."""
