"""Benchmarks: ratios taken in one run, load over loopback from a separate process, bounded in count and time."""
