"""Sweeps: many manifests trained, one chosen, and that one estimated again on rows that took no part in choosing it."""

from simulator.sweep.grid import Grid, Variant, read_grid
from simulator.sweep.run import Contestant, Sweep, sweep

__all__ = ["Contestant", "Grid", "Sweep", "Variant", "read_grid", "sweep"]
