"""From versions.toml to unpacked packages."""
