"""`cxi-bandit replay`: what would another policy have earned on a logged one's decisions?"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import CANDIDATES, LOGS
from cxi_bandit.cli.options import AS_JSON, database_options
from simulator.cli.engine_options import PANEL, engine_options
from simulator.cli.gate_options import gate_options
from simulator.cli.log_options import LogRequest, log_options
from simulator.cli.page import PAGE, page_request

if TYPE_CHECKING:
    from simulator.evaluate import IntervalMethod
    from simulator.partitions import Engine

_INTERVALS = ("cressie_read", "gaussian", "bootstrap", "empirical_bernstein", "confidence_sequence")


@click.command(
    cls=Command,
    page="howto/replay-a-log.md",
    examples=(
        ("cxi-bandit replay --log obd-all --candidate uniform", "a first look at an imported log"),
        ("cxi-bandit replay --log search --candidate manifest:search.toml --report search.html", "with a page of it"),
        ("cxi-bandit replay --log search --candidate model:search@18 --gate", "may it go live? 0 go, 1 refuse, 3 wait"),
        ("cxi-bandit replay --log search --candidate uniform --segment defect --json", "by defect, for a program"),
    ),
)
@click.option(
    "--log",
    "name",
    required=True,
    shell_complete=LOGS,
    help="An imported log, or a policy's live log.",
)
@click.option(
    "--candidate",
    "specs",
    multiple=True,
    shell_complete=CANDIDATES,
    help="uniform, table:FILE.json, manifest:FILE.toml or model:POLICY@VERSION; several with --gate and --plan.",
)
@click.option(
    "--reward-model",
    panel=PANEL,
    type=click.Choice(["smoothed-mean", "vw"]),
    default="smoothed-mean",
    show_default=True,
    help="Predicts rewards for dm, dr and their kin.",
)
@click.option(
    "--cross-fit",
    "folds",
    panel=PANEL,
    type=click.IntRange(min=0),
    help="Folds for fitting the reward model; 0 fits on the same rows.",
    show_default="smoothed-mean 0, vw 5",
)
@click.option(
    "--confidence",
    panel=PANEL,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Nominal coverage of the intervals.",
)
@click.option(
    "--interval",
    panel=PANEL,
    type=click.Choice(_INTERVALS),
    help="Method, where defined.",
    show_default="gaussian, by shopper where shoppers return",
)
@click.option(
    "--smallest-propensity",
    panel=PANEL,
    type=click.FloatRange(0, 1, min_open=True),
    help="Declared floor of the logging policy, for intervals that need one.",
    show_default="its manifest's, or unknown",
)
@click.option(
    "--train-fraction",
    panel=PANEL,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="First part of the log that a manifest candidate learns; it is evaluated on the rest.",
)
@click.option(
    "--seed",
    panel=PANEL,
    type=int,
    default=0,
    show_default=True,
    help="Of folds and resampling.",
)
@engine_options
@log_options
@gate_options
@PAGE
@AS_JSON
@database_options
@click.pass_context
def replay(
    context: click.RichContext,
    /,
    *,
    name: str,
    specs: tuple[str, ...],
    reward_model: Literal["smoothed-mean", "vw"],
    folds: int | None,
    confidence: float,
    interval: "IntervalMethod | None",
    smallest_propensity: float | None,
    train_fraction: float,
    seed: int,
    engine: "Engine | None",
    request: LogRequest,
    ask: Literal["gate", "plan", "aa"] | None,
    defects: tuple[str, ...],
    proposal: str | None,
    opening: datetime | None,
    page: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """Estimate what a candidate would have earned on a log, and whether the log can tell at all.

    Exit codes: 0 evaluated, 1 the diagnostics refuse, 2 bad usage or input, 69 the database is unavailable. With
    --gate: 0 go, 1 refuse, 3 wait.
    """
    if ask == "aa" and specs:
        raise click.UsageError("--aa compares the incumbent with itself: leave --candidate out")
    if request.sweep is not None and (specs or ask is not None):
        raise click.UsageError("--sweep names its candidates in its grid: leave --candidate and --gate out")
    if ask != "aa" and not specs and request.sweep is None:
        raise click.UsageError("Missing option '--candidate'.")
    if ask is not None and request != LogRequest():
        raise click.UsageError("--as-of, --reward, --segment and their kin go with estimates, not with --gate")
    if ask is None and defects:
        raise click.UsageError("--defect goes with --gate, --plan or --aa; for estimates there is --segment defect")
    if ask is None and len(specs) > 1:
        raise click.UsageError("several --candidate go with --gate or --plan: estimates are replayed one by one")
    if page is not None and (ask in {"plan", "aa"} or len(specs) > 1):
        raise click.UsageError("--report is the page of one candidate's evaluation: it goes without --plan and --aa")
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.cli.run_replay import run  # noqa: PLC0415
    from simulator.replay import ReplaySettings  # noqa: PLC0415

    settings = ReplaySettings(
        reward_model=reward_model,
        folds=folds,
        confidence=confidence,
        interval=interval,
        smallest_propensity=smallest_propensity,
        seed=seed,
        segments=request.segments,
        horizon_sensitivity=request.horizon_sensitivity,
        measures=page is not None,
        engine=engine,
    )
    wanted = page_request(context, page)
    if request.sweep is not None:
        from simulator.cli.run_sweep import run as run_sweep  # noqa: PLC0415 - as above

        context.exit(run_sweep(name, request.sweep, settings, request, options, page=wanted, as_json=as_json))
    if ask is None:
        context.exit(run(name, specs[0], settings, train_fraction, options, request, page=wanted, as_json=as_json))
    from simulator.cli import run_gate  # noqa: PLC0415 - as above

    asked = run_gate.Asked(
        ask=ask,
        log=name,
        specs=specs,
        train_fraction=train_fraction,
        defects=defects,
        proposal=proposal,
        opening=opening,
    )
    context.exit(run_gate.run(asked, settings, options, page=wanted, as_json=as_json))
