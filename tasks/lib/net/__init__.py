"""Files from the network, and where they are kept."""
