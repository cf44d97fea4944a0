"""Frozen values and rules: what the product talks about, with no I/O and nothing of ours imported."""
