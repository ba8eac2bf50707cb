"""Archives of container images for nodes without a network."""
