"""The boot menu and its loaders."""
