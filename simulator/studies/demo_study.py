"""Does the engine learn? Many seeded runs of the shop, in process: `python -m simulator.studies.demo_study --runs 20`.

Each run is a world of its own with learning from nothing. A run is won when the engine's last tenth of decisions is
worth more than doing nothing and more than drawing evenly, on the very same contexts, by the world's exact truth.
"""

import json
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from simulator.loop import Loop
from simulator.manifests import shipped_texts
from simulator.tally import Standing
from simulator.world.scenarios import SCENARIOS, SHOPPING, Scenario

DECISIONS: Final = 12_000


class StudyRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its seed, its standing, and the last tenth's advantage over the two simple policies."""

    seed: int
    standing: Standing
    over_hold: float
    over_uniform: float

    @property
    def won(self) -> bool:
        """Better than both."""
        return self.over_hold > 0.0 and self.over_uniform > 0.0


def study_run(seed: int, decisions: int, scenario: Scenario) -> StudyRun:
    """One seeded run."""
    tally = Loop(shipped_texts(), seed, scenario).run(decisions).tally
    over_hold, over_uniform = tally.late_advantage()
    return StudyRun(seed=seed, standing=tally.standing(), over_hold=over_hold, over_uniform=over_uniform)


def study(seeds: Sequence[int], decisions: int, scenario: Scenario, seen: Callable[[StudyRun], None]) -> list[StudyRun]:
    """Runs every seed; `seen` is called with each run as it ends."""
    runs = []
    for seed in seeds:
        runs.append(study_run(seed, decisions, scenario))
        seen(runs[-1])
    return runs


@click.command(context_settings={"show_default": True})
@click.option("--runs", default=20, help="Seeds 1 to this many.")
@click.option("--decisions", default=DECISIONS, help="Decisions a run.")
@click.option("--scenario", type=click.Choice(list(SCENARIOS)), default=SHOPPING.name, help="Which world.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else.")
def main(runs: int, decisions: int, scenario: str, as_json: bool) -> None:
    """Runs the study and prints a table."""
    console = Console(stderr=as_json)
    table = Table("seed", "hold only", "uniform", "first tenth", "last tenth", "oracle", "over hold", "over uniform")

    def seen(run: StudyRun) -> None:
        console.log(f"seed {run.seed}: {run.over_hold:+.4f} over hold, {run.over_uniform:+.4f} over uniform")

    found = study(range(1, runs + 1), decisions, SCENARIOS[scenario], seen)
    for run in found:
        standing = run.standing
        table.add_row(
            str(run.seed),
            *(
                f"{value:.4f}"
                for value in (
                    standing.hold_only,
                    standing.uniform,
                    standing.engine_first_tenth,
                    standing.engine_last_tenth,
                    standing.oracle,
                )
            ),
            f"{run.over_hold:+.4f}",
            f"{run.over_uniform:+.4f}",
        )
    won = sum(run.won for run in found)
    if as_json:
        click.echo(json.dumps({"runs": msgspec.to_builtins(found), "won": won, "of": len(found)}))
        return
    console.print(table)
    console.print(f"the last tenth beat hold-only and uniform in {won} runs of {len(found)}")


if __name__ == "__main__":
    main()
