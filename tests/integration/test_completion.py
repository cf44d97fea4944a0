"""Completion: what a shell is offered, from the manifests and from a database, and never at the cost of waiting."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.shell_completion import ShellComplete

from cxi_bandit.cli import command_line, main
from cxi_bandit.store.glance import Named, glance
from cxi_bandit.store.postgres import PostgresStore
from tests.harness.prepared import fill

ROOT: Final = Path(__file__).parents[2]


def offered(*words: str, word: str = "") -> dict[str, str | None]:
    """What a shell is offered after these words for the one that is being typed."""
    shell = ShellComplete(command_line, {}, "cxi-bandit", "_CXI_BANDIT_COMPLETE")
    return {item.value: item.help for item in shell.get_completions(list(words), word)}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nowhere")
def test_names_come_from_the_manifests_where_there_is_no_database(tmp_path: Path):
    assert {"rollback", "replay", "serve"} <= offered().keys()
    assert offered(word="roll").keys() == {"rollback"}
    assert offered("rollback").keys() == {"cart", "detail-page", "repeat-purchase", "search"}
    assert offered("replay", "--log", word="s").keys() == {"search"}
    assert "--candidate" in offered("replay", word="--c")
    assert offered("keys", "create", "--scope").keys() == {"decide", "reward", "read", "propose", "approve"}
    assert {"zero_results", "slow_results"} <= offered("override", "search", "--defect").keys()
    assert "price_jump" not in offered("override", "search", "--defect")
    assert {"device=mobile", "device=app"} <= offered("override", "search", "--segment", word="device=").keys()
    assert "hold" in offered("override", "search", "--intervention")
    assert offered("override", "--surface").keys() == {"search", "detail_page", "cart", "repeat_purchase"}
    assert {"defect", "context.device"} <= offered("replay", "--segment").keys()
    assert offered("replay", "--candidate", word="un").keys() == {"uniform"}
    assert "cressie_read" in offered("replay", "--interval")
    assert offered("approve") == {}
    assert list(tmp_path.iterdir()) == [], "nothing is made while somebody types"


@pytest.mark.usefixtures("nowhere")
def test_a_manifest_that_is_wrong_is_no_business_of_who_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXI_BANDIT_POLICIES_DIR", str(tmp_path))
    for text in ("name = [", 'name = "x"', "interventions = 1\ndefects = 2\nname = 3", "\udcff"):
        (tmp_path / "wrong.toml").write_bytes(text.encode(errors="surrogateescape"))
        for words in (
            ["rollback"],
            ["override", "--defect"],
            ["override", "--intervention"],
            ["override", "--segment"],
        ):
            assert set(offered(*words)) <= {"x"}


def test_names_and_numbers_come_from_the_database(
    postgres_store: PostgresStore, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    _, model = fill(postgres_store)
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    for verb in (["override", "search", "--intervention", "hold", "--until", "2099-01-01T00:00Z"], ["halt"]):
        main([*verb, "--reason", "a flood"])
    assert main(["halt", "search", "--reason", "a slow index"]) == 0
    assert offered("approve") == offered("refuse") == {"1": "search, proposed"}
    assert offered("propose", "search", "--version") == {"2": "search, candidate", "1": "search, live"}
    assert str(model) in offered("propose", "search", "--model")
    assert offered("propose", "search", "--evaluation").keys() == {"1", "2"}
    assert offered("propose", "cart", "--evaluation") == {}
    assert offered("rollback", "search", "--to").keys() == {"1"}
    assert offered("halt", "--lift") == {"1": "a flood", "2": "a slow index"}
    assert offered("override", "--lift") == {}
    assert offered("keys", "revoke") == {"shop-1": "decide"}
    assert offered("quarantine", "show").keys() == {"shop", "shop-events"}
    assert offered("keys", "webhook-secret", "revoke") == {"shop-events": "webhooks"}
    assert f"model:search@{model}" in offered("replay", "--candidate", word="model:")
    assert offered("export", "--log", word="sea") == {"search": "live log"}


def test_every_question_can_be_asked_of_the_schema(postgres_store: PostgresStore, postgres_dsn: str):
    fill(postgres_store)
    for named in set(Named) - {Named.PIN, Named.HALT}:
        assert glance(postgres_dsn, named, "search", patience_seconds=10.0), named


def test_a_database_that_is_silent_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dsn = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x"
        assert glance(dsn, Named.POLICY, patience_seconds=0.05) == []


def test_a_database_that_is_away_leaves_what_the_manifests_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/x")
    assert offered("rollback").keys() == {"cart", "detail-page", "repeat-purchase", "search"}
    monkeypatch.setenv("DATABASE_URL", "no dsn at all")
    assert "search" in offered("rollback")


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_the_code_of_each_shell_calls_the_program(shell: str, word: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0
    told = capsys.readouterr().out
    assert word in told
    assert "_CXI_BANDIT_COMPLETE" in told
    assert "cxi-bandit" in told


def test_the_shell_is_guessed_or_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert main(["completion"]) == 0
    assert "fish_complete" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion"]) == 2
    assert "bash, zsh, fish; write `cxi-bandit completion bash`" in capsys.readouterr().err


@pytest.mark.usefixtures("nowhere")
def test_bash_completes_with_what_it_is_given(tmp_path: Path):
    """In a real bash: the code is sourced, its function called as readline would, and the answer read back."""
    bash = shutil.which("bash")
    assert bash is not None
    program = tmp_path / "cxi-bandit"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m cxi_bandit.cli "$@"\n')
    program.chmod(0o700)
    script = (
        'eval "$(cxi-bandit completion bash)"\n'
        "COMP_WORDS=(cxi-bandit rollback det) COMP_CWORD=2\n"
        "_cxi_bandit_completion cxi-bandit det rollback\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "detail-page", done.stderr
