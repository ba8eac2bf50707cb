"""What runs on the node in Python: imported by builder and tests too, imports the standard library alone."""
