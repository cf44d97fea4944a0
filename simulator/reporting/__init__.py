"""The report as a page: one self-contained HTML file with its pictures, to be attached to a launch review."""

from simulator.reporting.contents import contents
from simulator.reporting.render import rendered

__all__ = ["contents", "rendered"]
