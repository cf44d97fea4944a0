"""Does the engine learn? Many seeded runs of the shop, in process: `python -m simulator.studies.demo_study --runs 20`.

Each run is a world of its own with learning from nothing. A run is won when the engine's last tenth of decisions is
worth more than doing nothing and more than drawing evenly, on the very same contexts, by the world's exact truth.
How steadily it learns is another question: what the worst stretch of a run's last quarter was worth, cut in equal ones.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from simulator.loop import Loop
from simulator.manifests import by_surface, shipped_texts, with_value
from simulator.tally import Standing, Tally
from simulator.world.scenarios import SCENARIOS, SHOPPING, Scenario

DECISIONS: Final = 12_000
STRETCH: Final = 500


class StudyRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        over_hold: Of the last tenth.
        over_uniform: Of the last tenth.
        worst: The least advantage over hold of a stretch of `STRETCH` decisions, in the last quarter.
    """

    seed: int
    standing: Standing
    over_hold: float
    over_uniform: float
    worst: float

    @property
    def won(self) -> bool:
        """Better than both."""
        return self.over_hold > 0.0 and self.over_uniform > 0.0


def study_run(texts: Mapping[str, str], seed: int, decisions: int, scenario: Scenario) -> StudyRun:
    """One seeded run."""
    tally = Loop(texts, seed, scenario).run(decisions).tally
    over_hold, over_uniform = tally.late_advantage()
    return StudyRun(
        seed=seed, standing=tally.standing(), over_hold=over_hold, over_uniform=over_uniform, worst=worst_stretch(tally)
    )


def worst_stretch(tally: Tally) -> float:
    """The least advantage over hold of a stretch of `STRETCH` decisions, in the last quarter."""
    stretches = max(len(tally) // STRETCH, 4)
    late = tally.curve(stretches)[-(stretches // 4) :]
    return float((late[:, 2] - late[:, 0]).min())


def texts_of(surface: str | None, importance_cap: float | None) -> dict[str, str]:
    """The shipped manifests, or the one of a surface, as they are or with another cap on what an outcome counts for."""
    texts = {name: text for name, text in shipped_texts().items() if surface in (None, *by_surface({name: text}))}
    if importance_cap is None:
        return texts
    return {name: with_value(text, "importance_cap", f"{importance_cap}") for name, text in texts.items()}


def study(
    texts: Mapping[str, str],
    seeds: Sequence[int],
    decisions: int,
    scenario: Scenario,
    seen: Callable[[StudyRun], None],
) -> list[StudyRun]:
    """Runs every seed; `seen` is called with each run as it ends."""
    runs = []
    for seed in seeds:
        runs.append(study_run(texts, seed, decisions, scenario))
        seen(runs[-1])
    return runs


@click.command(context_settings={"show_default": True})
@click.option("--runs", default=20, help="Seeds 1 to this many.")
@click.option("--decisions", default=DECISIONS, help="Decisions a run.")
@click.option("--scenario", type=click.Choice(list(SCENARIOS)), default=SHOPPING.name, help="Which world.")
@click.option("--surface", help="Shoppers of this surface alone, not of all.")
@click.option(
    "--importance-cap",
    type=click.FloatRange(min=1.0),
    help="Most an outcome counts for, instead of the manifests' own.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else.")
def main(
    runs: int, decisions: int, scenario: str, surface: str | None, importance_cap: float | None, as_json: bool
) -> None:
    """Runs the study and prints a table."""
    console = Console(stderr=as_json)
    columns = ("hold only", "uniform", "first tenth", "last tenth", "oracle", "over hold", "over uniform", "worst")
    table = Table("seed", *columns)

    def seen(run: StudyRun) -> None:
        console.log(f"seed {run.seed}: {run.over_hold:+.4f} over hold, {run.over_uniform:+.4f} over uniform")

    texts = texts_of(surface, importance_cap)
    if not texts:
        raise click.BadParameter(f"no shipped policy is for {surface!r}", param_hint="--surface")
    found = study(texts, range(1, runs + 1), decisions, SCENARIOS[scenario], seen)
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
            *(f"{value:+.3f}" for value in (run.over_hold, run.over_uniform, run.worst)),
        )
    won = sum(run.won for run in found)
    if as_json:
        click.echo(json.dumps({"runs": msgspec.to_builtins(found), "won": won, "of": len(found)}))
        return
    console.print(table)
    console.print(f"the last tenth beat hold-only and uniform in {won} runs of {len(found)}")


if __name__ == "__main__":
    main()
