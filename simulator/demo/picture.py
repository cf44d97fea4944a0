"""The learning curve: a picture for a page, a line for a terminal."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulator.tally import Tally

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_POINTS: Final = 40
_LINES: Final = (
    ("hold only", 0, "#8c8c8c", "--"),
    ("uniform", 1, "#d9a441", "--"),
    ("engine", 2, "#1f6fb2", "-"),
    ("oracle", 3, "#3a8f5c", ":"),
)


def save_learning_curve(tally: Tally, directory: Path, title: str) -> list[Path]:
    """Saves `learning-curve.png` and `.svg`: expected reward per decision as it went, and what was given up in all."""
    directory.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    rewards, regret = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve = tally.curve(_POINTS)
    middle = (np.arange(len(curve)) + 0.5) * len(tally) / len(curve)
    for name, column, colour, style in _LINES:
        width = 2.4 if name == "engine" else 1.4
        # What is no learner is drawn at its mean: its wobble is that of the contexts met.
        values = curve[:, column] if name == "engine" else np.full(len(curve), tally.values[:, column].mean())
        rewards.plot(middle, values, style, color=colour, linewidth=width, label=name)
    rewards.set_ylabel("expected reward per decision")
    rewards.set_title(title)
    rewards.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93), frameon=False, ncols=len(_LINES))
    regret.plot(np.arange(1, len(tally) + 1), tally.regret(), color="#1f6fb2")
    hold = np.cumsum(tally.values[:, 3] - tally.values[:, 0])
    regret.plot(np.arange(1, len(tally) + 1), hold, "--", color="#8c8c8c")
    regret.set_ylabel("given up\nagainst the oracle")
    regret.set_xlabel("decisions")
    for axes in (rewards, regret):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    paths = [directory / f"learning-curve.{ending}" for ending in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def sparkline(tally: Tally, width: int = 48) -> str:
    """The engine's expected reward, one character a stretch, from hold-only (lowest) to the oracle (highest)."""
    curve = tally.curve(width)
    low, high = float(tally.values[:, 0].mean()), float(tally.values[:, 3].mean())
    span = max(high - low, 1e-12)
    steps = ((curve[:, 2] - low) / span * len(_BLOCKS)).astype(int).clip(0, len(_BLOCKS) - 1)
    return "".join(_BLOCKS[step] for step in steps)
