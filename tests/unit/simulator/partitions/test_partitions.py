"""A log in partitions gives the whole log's numbers, and every engine the very same digits."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import EvaluationReport
from simulator.estimators import ESTIMATORS
from simulator.evaluate import EvaluationSettings, IntervalMethod, Labels, evaluate
from simulator.intervals import ConfidenceSequence, WeightRange
from simulator.log_quality import LogQuality
from simulator.partitions import (
    ENGINES,
    ArrayFiles,
    Partition,
    Processes,
    array_slices,
    engine_of,
    evaluate_partitions,
)
from simulator.partitions.evaluate import added_in_order
from simulator.partitions.smoothed_means import fold_of_rows

LABELS = Labels(log="log", candidate="candidate")
INTERVALS: tuple[IntervalMethod, ...] = (
    "gaussian",
    "empirical_bernstein",
    "bootstrap",
    "cressie_read",
    "confidence_sequence",
)


def settings(interval: IntervalMethod = "gaussian", *, cross_fit: bool = False) -> EvaluationSettings:
    return EvaluationSettings(
        interval=interval, cross_fit=cross_fit, weight_range=WeightRange(0.0, 200.0), replicates=200
    )


def numbers(report: EvaluationReport) -> Iterator[float]:
    for name, estimate in report.estimates.items():
        assert estimate.value is not None, name
        assert estimate.interval is not None, name
        yield from (estimate.value, *estimate.interval)
    for name, value in msgspec.to_builtins(report.diagnostics).items():
        if isinstance(value, float | int):
            assert value is not None, name
            yield value


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("which", ["rich", "plain"])
@pytest.mark.parametrize("rows", [3000, 1000, 777])
def test_partitions_give_the_numbers_of_the_whole_log(
    interval: IntervalMethod, which: str, rows: int, request: pytest.FixtureRequest
) -> None:
    whole: Partition = request.getfixturevalue(which)
    quality = LogQuality(rescored=whole.rescored)
    expected = evaluate(whole.rounds, whole.candidate, LABELS, settings=settings(interval), quality=quality)
    report = evaluate_partitions(array_slices(whole, rows), LABELS, settings=settings(interval))
    assert list(numbers(report)) == pytest.approx(list(numbers(expected)), rel=1e-9, abs=1e-12)
    assert [c.code for c in report.diagnostics.checks] == [c.code for c in expected.diagnostics.checks]
    assert [c.level for c in report.diagnostics.checks] == [c.level for c in expected.diagnostics.checks]
    assert report.verdict.decision == expected.verdict.decision
    assert report.provenance == expected.provenance
    methods = {name: estimate.interval_method for name, estimate in expected.estimates.items()}
    assert {name: estimate.interval_method for name, estimate in report.estimates.items()} == methods


@pytest.mark.parametrize("interval", ["cressie_read", "empirical_bernstein", "confidence_sequence"])
def test_a_bound_on_rows_is_not_given_where_shoppers_return(interval: IntervalMethod, plain: Partition) -> None:
    def methods(subject: np.ndarray) -> set[str]:
        whole = replace(plain, rounds=replace(plain.rounds, subject=subject))
        once = evaluate(whole.rounds, whole.candidate, LABELS, settings=settings(interval))
        cut = evaluate_partitions(array_slices(whole, 1000), LABELS, settings=settings(interval))
        assert list(numbers(cut)) == pytest.approx(list(numbers(once)), rel=1e-9, abs=1e-12)
        found = {once.estimates["ips"].interval_method, cut.estimates["ips"].interval_method}
        expected = evaluate(whole.rounds, whole.candidate, LABELS, settings=settings()).estimates["ips"].interval
        assert (once.estimates["ips"].interval == expected) == (found == {"gaussian"})
        return found

    rows = len(plain)
    assert methods(np.arange(rows)) == {interval}
    assert methods(np.arange(rows) // 2) == {"gaussian"}
    # One shopper of many, who comes back in another partition.
    assert methods(np.where(np.arange(rows) == rows - 1, 0, np.arange(rows))) == {"gaussian"}


@pytest.mark.parametrize("interval", INTERVALS)
def test_engines_give_the_same_digits(interval: IntervalMethod, rich: Partition, tmp_path: Path) -> None:
    sources = ArrayFiles.written(rich, tmp_path, 700)
    chosen = settings(interval, cross_fit=True)
    here = evaluate_partitions(array_slices(rich, 700), LABELS, settings=chosen)
    elsewhere = evaluate_partitions(sources, LABELS, settings=chosen, engine=Processes(2))
    assert msgspec.json.encode(elsewhere) == msgspec.json.encode(here)


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: it is the optional extra 'ray'")
# Ray's own threads and sockets are its business.
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_digits(rich: Partition, tmp_path: Path) -> None:
    sources = ArrayFiles.written(rich, tmp_path, 700)
    chosen = settings("cressie_read", cross_fit=True)
    here = evaluate_partitions(array_slices(rich, 700), LABELS, settings=chosen)
    elsewhere = evaluate_partitions(sources, LABELS, settings=chosen, engine=engine_of("ray", 2))
    assert msgspec.json.encode(elsewhere) == msgspec.json.encode(here)


def test_without_ray_the_engine_says_what_to_install(rich: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InvalidInput, match="extra 'ray'"):
        evaluate_partitions(array_slices(rich, 700), LABELS, engine=engine_of("ray"))


def test_engines_are_known_by_name() -> None:
    assert ENGINES == ("one-process", "processes", "ray")
    assert engine_of("one-process").shares_memory
    assert not engine_of("processes").shares_memory
    with pytest.raises(InvalidInput, match="none of one-process, processes, ray"):
        engine_of("spark")


def test_results_come_in_order_whoever_finishes_first() -> None:
    assert list(Processes(2).run(abs, range(-9, 0))) == list(range(9, 0, -1))  # type: ignore[arg-type]


def test_predictions_may_come_with_the_partitions(rich: Partition) -> None:
    q_hat = np.random.default_rng(1).random(rich.candidate.shape)
    given = Partition(rounds=rich.rounds, candidate=rich.candidate, q_hat=q_hat, q_hat_mrdr=q_hat / 2)
    report = evaluate_partitions(array_slices(given, 1000), LABELS, settings=settings())
    for name, predictions in (("dr", q_hat), ("mrdr", q_hat / 2)):
        estimator = ESTIMATORS[name]()
        estimator.update(rich.scored(predictions))
        assert report.estimates[name].value == pytest.approx(estimator.result().value, rel=1e-12)
    with pytest.raises(InvalidInput, match="given together"):
        Partition(rounds=rich.rounds, candidate=rich.candidate, q_hat=q_hat)


def test_folds_keep_a_shoppers_rows_together_wherever_the_log_is_cut(rich: Partition, plain: Partition) -> None:
    for whole in (rich, plain):
        folds = fold_of_rows(whole.rounds, 0, 5, seed=3)
        later = whole.take(slice(1234, 3000))
        assert (fold_of_rows(later.rounds, later.first_row, 5, seed=3) == folds[1234:]).all()
        assert np.bincount(folds).min() > len(whole) / 5 * 0.8
    subject = rich.rounds.subject
    assert subject is not None
    folds = fold_of_rows(rich.rounds, 0, 5, seed=3)
    assert len(set(zip(subject.tolist(), folds.tolist(), strict=True))) == len(set(subject.tolist()))
    assert (fold_of_rows(rich.rounds, 0, 5, seed=4) != folds).any()


def test_cross_fitting_does_not_predict_a_row_from_itself(plain: Partition) -> None:
    same = evaluate_partitions(array_slices(plain, 500), LABELS, settings=settings())
    crossed = evaluate_partitions(array_slices(plain, 500), LABELS, settings=settings(cross_fit=True))
    # Other reward models, the same weights.
    assert crossed.estimates["ips"] == same.estimates["ips"]
    assert crossed.estimates["dm"].value != same.estimates["dm"].value
    assert crossed.estimates["dr"].value == pytest.approx(same.estimates["dr"].value, abs=0.01)


def test_the_log_must_have_rows_and_one_catalogue(rich: Partition) -> None:
    with pytest.raises(InvalidInput, match="has no rows"):
        evaluate_partitions([], LABELS)
    renamed = replace(rich, rounds=replace(rich.rounds, actions=("b", "c", "d", "e", "f", "g")))
    with pytest.raises(InvalidInput, match="same actions"):
        evaluate_partitions([*array_slices(rich), *array_slices(renamed)], LABELS)


def test_neighbours_are_added_in_order_however_many() -> None:
    for n in range(1, 40):
        assert added_in_order([number] for number in range(n)) == list(range(n))  # type: ignore[type-var]
    assert added_in_order([]) is None


def test_a_confidence_sequence_goes_on_where_the_one_before_it_ended(plain: Partition) -> None:
    whole = ConfidenceSequence()
    whole.update(plain.scored(None))
    parts = []
    for start, stop in ((0, 700), (700, 701), (701, 3000)):
        part = ConfidenceSequence(start=start)
        part.update(plain.take(slice(start, stop)).scored(None))
        parts.append(part)
    left, right = parts[0] + (parts[1] + parts[2]), (parts[0] + parts[1]) + parts[2]
    for merged in (left, right):
        assert merged.result().lo == pytest.approx(whole.result().lo, rel=1e-9)
        assert merged.result().hi == pytest.approx(whole.result().hi, rel=1e-9)
    with pytest.raises(InvalidInput, match="do not follow"):
        parts[1] + parts[0]


def test_progress_is_heard_in_both_passes(rich: Partition) -> None:
    heard: dict[str, int] = {}

    class Listening:
        def __init__(self, description: str) -> None:
            self.description = description

        def __enter__(self):
            return lambda rows, total=None: heard.update({self.description: heard.get(self.description, 0) + rows})

        def __exit__(self, *_: object) -> None:
            pass

    evaluate_partitions(array_slices(rich, 900), LABELS, track=lambda description, _: Listening(description))
    assert heard == {"Fitting reward models": 3000, "Evaluating": 3000}
