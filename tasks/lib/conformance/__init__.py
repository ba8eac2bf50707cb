"""Kubernetes' own end-to-end tests, run against a node: which, in what order, with what verdicts."""
