"""Every command that a page shows is run, as it stands but for the names that a log of one's own has otherwise."""

import gzip
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from cxi_bandit.cli import main
from tests.harness.pages import PAGES, ROOT, blocks, entries, resembles
from tests.harness.rehearsed import Rehearsed

TESTED_ELSEWHERE: Final = {
    "README.md": "test_readme.py",
    "docs/howto/back-up-and-restore.md": "test_back_up_and_restore.py",
    "docs/howto/promote.md": "test_promote.py",
    "docs/tutorial/first-policy.md": "test_tutorial.py",
}
RUN_HERE: Final = [
    page for page in PAGES if blocks(page, "console") and page.relative_to(ROOT).as_posix() not in TESTED_ELSEWHERE
]
ANSWERS: Final = {"replay": {0, 1, 3}}
"""A gate that says wait, and diagnostics that refuse so short a log, are answers; anything else must be done."""
ACTIONS: Final = 34

Named = tuple[Callable[[str], str], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rehearsed_dsn: str) -> Path:
    """A directory with the files that pages name, beside the database they suppose."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", rehearsed_dsn)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KEY", "shopper-00001")
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    for name in ("random-men.csv.gz", "items-men.csv.gz"):
        shutil.copy(ROOT / "tests/data/obd" / name, tmp_path)
    text = (ROOT / "policies/search.toml").read_text("utf-8")
    (tmp_path / "search-new.toml").write_text(text.replace("gamma_scale = 1000.0", "gamma_scale = 300.0"))
    (tmp_path / "margin-only.toml").write_text(text.replace("weight = 0.6", "weight = 0.0"))
    (tmp_path / "bts.json").write_text(json.dumps([[1 / ACTIONS] * 3] * ACTIONS))
    (tmp_path / "grid.toml").write_text(
        'manifests = ["policies/search.toml"]\ntrain = 0.5\nchoose = 0.25\n'
        '[grid]\n"learning.learning_rate" = [0.1, 0.5]\n'
    )
    with gzip.open(tmp_path / "decisions.json.gz", "wt") as file:
        file.write(json.dumps(A_FOREIGN_DECISION) + "\n")
    (page,) = [page for page in PAGES if page.name == "bring-your-own-log.md"]
    (tmp_path / "mapping.toml").write_text(blocks(page, "toml")[0].text)
    (tmp_path / "clicks.csv").write_text(blocks(page, "csv")[0].text)
    return tmp_path


A_FOREIGN_DECISION: Final = {
    "_label_cost": 1,
    "_label_probability": 0.75,
    "_label_Action": 1,
    "_labelIndex": 0,
    "Version": "1",
    "EventId": "e",
    "Timestamp": "2026-01-05T12:00:00Z",
    "a": [1, 2],
    "p": [0.75, 0.25],
    "c": {"GUser": {"device": "app"}, "_multi": [{"TAction": {"id": "a"}}, {"TAction": {"id": "b"}}]},
}


def with_real_names(command: str, rehearsed: Rehearsed) -> str:
    """The page's model, decision, position and shopper are somebody else's."""
    command = re.sub(r"\bsearch@\d+", f"search@{rehearsed.model}", command)
    command = command.replace("0192f0c4-6d55-7000-8000-5ca1ab1e0001", rehearsed.decision_id)
    return command.replace("18240,51077", rehearsed.as_of).replace('"$KEY"', "shopper-00001")


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.stem)
def test_every_command_of_the_page_does_what_it_shows(
    page: Path, home: Path, rehearsed: Rehearsed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.is_dir()
    for block in blocks(page, "console"):
        for command, shown in entries(block.text):
            words = shlex.split(with_real_names(command, rehearsed).partition(" > ")[0])
            assert words.pop(0) == "cxi-bandit", f"{block.page}:{block.line}"
            if words[0] == "serve":
                # Started as this page starts it by tests/integration/test_serve.py; here, that it may be said so.
                words = [*words, "--help"]
            status = main(words)
            said = capsys.readouterr()
            assert status in ANSWERS.get(words[0], {0}), f"{block.page}:{block.line}: {command}: {said.err}"
            if shown:
                assert resembles(said.out, f"...{shown}..."), f"{block.page}:{block.line}: {said.out}"


def test_every_page_that_is_tested_elsewhere_is() -> None:
    for page, test in TESTED_ELSEWHERE.items():
        assert Path(page).name in (Path(__file__).parent / test).read_text("utf-8"), page
