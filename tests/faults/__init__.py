"""Every promise of docs/explanation/guarantees.md, and the proof that would catch us breaking it."""
