"""`make faults`: proves the whole table, one line a promise. `--help` says what it can be told."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from tests.faults.promises import PROMISES
from tests.faults.proof import Promise, Proof
from tests.harness.ground import Ground
from tests.harness.leftovers import directory_of_this_run, watch_over_this_process

_QUIET_SECONDS = 15.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A promise as it stood up, for people and programs."""

    number: int
    promise: str
    unit: str
    proof: Proof
    holds: bool
    seconds: float

    def __str__(self) -> str:
        proof = self.proof
        figures = "".join(f"; {figure}" for figure in proof.figures)
        verdict = "holds " if self.holds else "BROKEN"
        return (
            f"{self.number:>2}  {verdict}  {self.promise}: {proof.trials:,} {self.unit}, {proof.losses} lost{figures}"
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. The load average is the one it began with: figures taken beside other work say so."""

    full: bool
    started_at: datetime
    seconds: float
    cores: int
    load_average: float
    holds: bool
    promises: list[Line]


class Ticker:
    """Shows how far a proof is: in place on a terminal, now and then in a log."""

    def __init__(self, out: TextIO, promise: Promise, trials: int) -> None:
        self._out = out
        self._words = f"{promise.number:>2}  {promise.words}"
        self._trials = trials
        self._started = time.monotonic()
        self._told = self._started

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        words = f"{self._words}: {done:,} of {self._trials:,} after {now - self._started:.0f} s"
        if self._out.isatty():
            self._out.write(f"\r\x1b[K{words}")
        elif now - self._told >= _QUIET_SECONDS:
            self._told = now
            self._out.write(f"{words}\n")
        self._out.flush()

    def clear(self) -> None:
        if self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()


def hold(promise: Promise, trials: int, ground: Ground) -> Line:
    """Proves one promise. A proof that cannot be finished is a broken promise, not the end of the run."""
    ticker = Ticker(sys.stderr, promise, trials)
    started = time.monotonic()
    try:
        with ground.part() as own:
            ticker(0)
            proof = promise.prove(trials, own, ticker)
    except Exception as error:  # noqa: BLE001 - whatever it was, the other promises are proved too
        traceback.print_exc()
        proof = Proof(trials=0, losses=1, notes=(f"the proof did not end: {type(error).__name__}: {error}"[:2000],))
    ticker.clear()
    return Line(
        number=promise.number,
        promise=promise.words,
        unit=promise.unit,
        proof=proof,
        holds=proof.holds,
        seconds=round(time.monotonic() - started, 1),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Proves what we promise, or fails.")
    parser.add_argument("--full", action="store_true", help="as many trials as the table of promises says (an hour)")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="the promise of this number; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found here")
    given = parser.parse_args(arguments)
    chosen = [promise for promise in PROMISES if given.only is None or promise.number in given.only]
    if unknown := set(given.only or ()) - {promise.number for promise in PROMISES}:
        parser.error(f"there is no promise {min(unknown)}; known: {', '.join(str(each.number) for each in PROMISES)}")
    started_at, started, load_average = datetime.now(UTC), time.monotonic(), os.getloadavg()[0]
    lines = []
    with directory_of_this_run() as directory:
        ground = Ground(directory)
        for promise in chosen:
            line = hold(promise, promise.full if given.full else promise.scaled, ground)
            lines.append(line)
            print(line, flush=True)  # noqa: T201 - a command's answer
            for note in line.proof.notes:
                print(f"      {note}", flush=True)  # noqa: T201 - a command's answer
    report = Report(
        full=given.full,
        started_at=started_at,
        seconds=round(time.monotonic() - started, 1),
        cores=os.cpu_count() or 1,
        load_average=round(load_average, 1),
        holds=all(line.holds for line in lines),
        promises=lines,
    )
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return 0 if report.holds else 1


if __name__ == "__main__":
    watch_over_this_process()
    sys.exit(main(sys.argv[1:]))
