import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings, variable
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.evidence import file_report
from tests.harness.local import local_client

ROOT = Path(__file__).parents[3]
EXAMPLE = re.compile(r"```http\n(?P<request>.*?)```(?:\n+```json\n(?P<answer>.*?)```)?", re.DOTALL)
OPTIONAL = {"fallback"}


def shape(value: Any) -> Any:
    """The keys a documented answer must have, wherever it goes into detail."""
    return {key: None for key in value if key not in OPTIONAL} if isinstance(value, dict) else None


def a_candidate(engine: Engine) -> None:
    """The second version of a policy, and the report that says go."""
    name = "detail-page.toml"
    text = (ROOT / "policies" / name).read_text() + "# another version\n"
    install(engine.store.registry, [(name, text)], engine.clock(), "test")
    file_report(engine.promoting[:3], PolicyName("detail-page"), 2, None, at=engine.clock())


@pytest.mark.filterwarnings("error")
def test_every_example_of_the_reference_is_answered_as_it_says(quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    manifests = [(path.name, path.read_text()) for path in sorted((ROOT / "policies").glob("*.toml"))]
    engine = in_memory_engine(manifests)
    a_candidate(engine)
    app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)
    text = (ROOT / "docs" / "reference" / "http.md").read_text()
    examples = list(EXAMPLE.finditer(text))
    assert len(examples) == text.count("```http")
    decision_id = ""
    with local_client(app) as client:
        for example in examples:
            tomorrow = (engine.clock() + timedelta(days=1)).isoformat()
            asked = example["request"].replace("{id}", decision_id).replace("{tomorrow}", tomorrow)
            head, _, body = asked.partition("\n\n")
            request, *headers = head.strip().splitlines()
            method, path = request.split(" ")
            fields = dict(line.split(": ", 1) for line in headers)
            answer = client.request(method, path, content=body.strip() or None, headers=fields)
            if example["answer"] is None:
                assert answer.status_code == 204, request
                continue
            documented, given = json.loads(example["answer"]), answer.json()
            assert shape(documented) == shape(given), request
            assert documented.get("status", 0) in (0, "ok", answer.status_code), request
            assert answer.status_code < 300 or documented.get("pointer") == given.get("pointer"), given
            for wanted, got in zip(documented.get("results", []), given.get("results", []), strict=True):
                assert wanted == got
            decision_id = decision_id or given.get("decision_id", "")


def test_every_setting_that_the_howtos_name_exists() -> None:
    known = {variable(name) for name in Settings.__struct_fields__}
    for page in (ROOT / "docs" / "howto").glob("*.md"):
        assert set(re.findall(r"\bCXI_BANDIT_[A-Z_]+|\bDATABASE_URL", page.read_text())) <= known, page.name


def test_every_option_that_the_howto_of_keys_names_exists(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "howto" / "keys-and-webhooks.md").read_text()
    commands = {
        ("create",): ["--name", "--scope", "--source", "--rate", "--burst", "--actor"],
        ("revoke",): ["--actor"],
        ("webhook-secret", "revoke"): ["--all", "--actor"],
    }
    for command, options in commands.items():
        assert main(["keys", *command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert [option for option in options if option not in shown] == []
    assert set(re.findall(r"(?<![\w-])--[a-z]+", text)) <= {"--workers"}.union(*commands.values())
