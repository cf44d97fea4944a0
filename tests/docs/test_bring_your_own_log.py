"""What the how-to on logs of one's own shows is what happens."""

import re
import shlex
from pathlib import Path

import pytest

from cxi_bandit.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "bring-your-own-log.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_is_imported_and_exported_as_shown(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("mapping.toml").write_text(blocks("toml")[0])
    Path("clicks.csv").write_text(blocks("csv")[0])
    command, shown = blocks("console")[0].strip().split("\n")
    assert main(shlex.split(command.removeprefix("$ cxi-bandit "))) == 0
    said = capsys.readouterr().out
    assert " ".join(said.split()) == shown
    assert main(shlex.split("export --log clicks --format parquet --out clicks.parquet")) == 0
    assert "$ cxi-bandit export --log clicks --format parquet --out clicks.parquet" in PAGE
    assert main(shlex.split("import parquet clicks.parquet --log again")) == 0


def test_the_program_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("python")
    exec(compile(program, "bring-your-own-log.md", "exec"), {})  # noqa: S102 - our own documentation
    assert capsys.readouterr().out == "0.900\n"
