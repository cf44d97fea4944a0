"""`make check`, run by the suite: format, lint, types and the import contracts hold on every commit."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RECIPE = re.search(r"(?m)^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"))
CHECKS = [] if RECIPE is None else [line.strip() for line in RECIPE[1].splitlines()]


def test_make_check_runs_formatter_linter_types_and_import_contracts():
    assert [shlex.split(check)[0].rpartition("/")[2] for check in CHECKS] == ["ruff", "ruff", "mypy", "lint-imports"]


@pytest.mark.parametrize("check", CHECKS)
def test_check(check: str):
    words = shlex.split(check.replace("$(BIN)", str(BIN)))
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_says_what_it_is_for():
    for package in [*ROOT.glob("cxi_bandit/**/__init__.py"), *ROOT.glob("simulator/**/__init__.py")]:
        assert package.read_text("utf-8").startswith('"""'), package


def test_pinned_versions_carry_no_address():
    assert "://" not in (ROOT / "constraints.txt").read_text("utf-8")


def test_modules_stay_small_enough_to_read():
    crowded = [
        path
        for path in [*ROOT.glob("cxi_bandit/**/*.py"), *ROOT.glob("simulator/**/*.py")]
        if len(path.read_text("utf-8").splitlines()) > 300
    ]
    assert crowded == []
