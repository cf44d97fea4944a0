"""The engine: one verb, one file; it needs only the ports it names, so service and simulator run the same code."""
