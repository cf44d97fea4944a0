"""From a replay to its page: verdict first, and where it is refused no estimate anywhere."""

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Diagnostics, EvaluationReport
from cxi_bandit.domain.gate import Ruling, Verdict
from simulator.datasets.snapshot import Snapshot
from simulator.replay import Replay
from simulator.reporting import asked, estimates, looks, prose
from simulator.reporting.page import Banner, Page, ReasonText, Section, Term
from simulator.reporting.wording import HELP, RULINGS, UNGATED, UNGATED_RULING, clean, count, moment


def contents(replay: Replay, command: str) -> Page:
    """The page of one report.

    Args:
        replay: With its measures.
        command: What to type to get the same report again.

    Raises:
        InvalidInput: The rows were not measured.
    """
    measures = replay.measures
    if measures is None:
        raise InvalidInput("measures", "a page needs the rows measured")
    report = replay.report
    refused = report.verdict.decision is Ruling.REFUSE
    numbers: list[Section] = []
    if not refused:
        numbers.append(estimates.estimates(report, measures))
        if replay.segments is not None:
            numbers.append(asked.segments(replay.segments))
        if replay.horizon is not None:
            numbers.append(asked.horizon(replay.horizon))
    gate = [] if report.trial is None else [looks.trial(report.trial, refused=refused)]
    log = [
        looks.checks(report.diagnostics),
        looks.weights(report.diagnostics, measures),
        looks.calibration(report.diagnostics, measures),
        looks.completeness(report.diagnostics, measures),
    ]
    return Page(
        log=clean(report.log),
        candidate=clean(report.candidate),
        lede=_lede(report),
        banner=_banner(report.verdict, report.diagnostics),
        headline=None if refused else estimates.headline(report, measures),
        # Refused, what forbids the number comes first.
        sections=(*numbers, *gate, *log, *_notes(replay), _provenance(report, command, replay.snapshot)),
    )


def _lede(report: EvaluationReport) -> str:
    log = report.provenance
    rows = f"{count(report.diagnostics.n)} logged decisions"
    if log.log_from is None or log.log_to is None:
        return f"What would this candidate have earned on {rows}?"
    return f"What would this candidate have earned on {rows}, made from {moment(log.log_from)} to {moment(log.log_to)}?"


def _banner(verdict: Verdict, found: Diagnostics) -> Banner:
    ungated = any(reason.code == UNGATED for reason in verdict.reasons)
    word, meaning = UNGATED_RULING if ungated else RULINGS[verdict.decision]
    checks = {check.code: check for check in found.checks}
    reasons = []
    for reason in verdict.reasons:
        check = checks.get(reason.code)
        if reason.code == UNGATED:
            reasons.append(ReasonText(reason.code, "No gate was asked.", HELP[UNGATED]))
        elif check is not None:
            reasons.append(ReasonText(reason.code, clean(check.message), clean(check.remedy)))
        else:
            reasons.append(ReasonText(clean(reason.code), _sentence(clean(reason.message)), HELP.get(reason.code, "")))
    return Banner(tone=verdict.decision.value, word=word, meaning=meaning, reasons=tuple(reasons))


def _notes(replay: Replay) -> tuple[Section, ...]:
    if not replay.notes:
        return ()
    return (
        Section(
            key="notes",
            title="How these numbers came about",
            lead=(prose.NOTES,),
            items=tuple(_sentence(clean(note)) for note in replay.notes),
        ),
    )


def _provenance(report: EvaluationReport, command: str, snapshot: Snapshot | None) -> Section:
    source = report.provenance
    terms = [
        Term("Log", clean(report.log)),
        Term("Candidate", clean(report.candidate)),
        Term("First decision", moment(source.log_from)),
        Term("Last decision", moment(source.log_to)),
    ]
    if snapshot is not None:
        terms.append(Term("Log read as of", snapshot.option, code=True))
    terms += [
        Term(
            "Manifest, SHA-256", source.manifest_sha or "the candidate has none", code=source.manifest_sha is not None
        ),
        Term("Model, SHA-256", source.model_sha or "the candidate has none", code=source.model_sha is not None),
        Term("Seed", str(source.seed)),
        Term("Code version", f"cxi-bandit {source.code_version}"),
    ]
    return Section(
        key="provenance",
        title="Provenance",
        lead=(prose.PROVENANCE if report.trial is None else prose.PROVENANCE_TRIAL,),
        terms=(Term("Command", clean(command), code=True), *terms),
    )


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."
