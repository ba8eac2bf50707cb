"""Measurements for docs/benchmarks.md: sizes, boots, builds."""
