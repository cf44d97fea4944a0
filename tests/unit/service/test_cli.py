import json
import stat
from pathlib import Path

import pytest
import rich_click as click
from click.exceptions import Exit

import cxi_bandit.cli
from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.cli import main
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, ManifestInvalid, NotFound, Unavailable
from cxi_bandit.settings import Settings, read_settings

MANIFEST = Path(__file__).parents[3] / "policies" / "detail-page.toml"


def test_a_right_manifest_is_said_to_be_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "check", str(MANIFEST), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["policy"], told["advice"]) == ("detail-page", [])


def test_what_is_right_and_seldom_meant_is_advised_against(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uncapped = tmp_path / "uncapped.toml"
    uncapped.write_text(MANIFEST.read_text().replace("importance_cap = 1.0\n", ""))
    assert main(["policies", "check", str(uncapped)]) == 0
    right, advised = capsys.readouterr().out.splitlines()
    assert right.startswith("uncapped.toml: policy detail-page")
    assert advised.startswith("advice: learning.importance_cap is left out, so one outcome may count for 100")
    assert main(["policies", "check", str(uncapped), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["advice"] == [advised.removeprefix("advice: ")]


def test_a_wrong_manifest_is_bad_input_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(MANIFEST.read_text().replace("[exploration]", "[exploration]\nflour = 1"))
    assert main(["policies", "check", str(wrong)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("cxi-bandit: wrong.toml: exploration")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("/x", "no"), 2),
        (ManifestInvalid("f", "k", "r"), 2),
        (NotFound("policy", "x"), 2),
        (Unavailable("the database"), 69),
        (CxiBanditError("odd"), 70),
        (RuntimeError("odd"), 70),
        (click.UsageError("odd"), 2),
        (Exit(3), 3),
    ],
)
def test_every_error_has_its_exit_code(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(cxi_bandit.cli, "command_line", broken)
    assert main([]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_unknown_commands_are_bad_usage() -> None:
    assert main(["nonsense"]) == 2


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--host", "--port", "--workers", "--data-dir", "--dev"):
        assert option in told


def test_settings_read_back_what_they_wrote(tmp_path: Path) -> None:
    settings = Settings(port=9000, dev=True, data_dir=tmp_path, database_url="postgresql://x/y")
    assert read_settings(settings.environment()) == settings


def test_a_wrong_setting_names_its_variable() -> None:
    with pytest.raises(InvalidInput, match="CXI_BANDIT_PORT"):
        read_settings({"CXI_BANDIT_PORT": "http"})
    with pytest.raises(InvalidInput, match="CXI_BANDIT_WORKERS"):
        read_settings({"CXI_BANDIT_WORKERS": "0"})
    with pytest.raises(InvalidInput, match="manifest"):
        Settings(policies_dir=Path("nowhere")).manifest_texts()


def test_a_data_directory_has_one_owner(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with owned(settings):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
        with pytest.raises(Unavailable, match="another service"), owned(settings):
            pass
    with owned(settings):
        pass
