"""The simulator's commands; they join `cxi-bandit` through entry points, so that the product never imports them.

The modules import what is heavy only when a command runs: `cxi-bandit --help` must not wait for it.
"""

from simulator.cli.demo import demo
from simulator.cli.exporting import export
from simulator.cli.importing import import_
from simulator.cli.replay import replay

__all__ = ["demo", "export", "import_", "replay"]
