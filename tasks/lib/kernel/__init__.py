"""Kernel modules: chosen, indexed, packed, audited."""
