import getpass
import json
from typing import Any

import pytest

from cxi_bandit.cli import main
from cxi_bandit.service.auth import digest, well_formed
from cxi_bandit.store.postgres import PostgresStore


@pytest.fixture
def run(postgres_dsn: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["keys", *arguments, "--database-url", postgres_dsn])
        return status, capsys.readouterr().out

    return run


def test_keys_and_secrets_leave_who_made_them_and_never_themselves(run: Any, postgres_store: PostgresStore) -> None:
    status, out = run("create", "--name", "shop", "--scope", "read", "--rate", "2.5", "--json", "--actor", "ann")
    assert status == 0
    secret = json.loads(out)["secret"]
    assert well_formed(secret)
    assert run("webhook-secret", "add", "mailer")[0] == 0
    status, webhook_secret = run("webhook-secret", "add", "mailer", "--actor", "bob")
    assert run("webhook-secret", "revoke", "mailer", "--actor", "cy") == (0, "1 revoked\n")
    assert run("revoke", "shop", "--actor", "dee")[0] == 0
    lines = [line.entry for line in reversed(postgres_store.trail.page(None, 100))]
    assert [(line.actor, line.action) for line in lines] == [
        ("ann", "keys create"),
        (getpass.getuser(), "keys webhook-secret add"),
        ("bob", "keys webhook-secret add"),
        ("cy", "keys webhook-secret revoke"),
        ("dee", "keys revoke"),
    ]
    told = repr(lines)
    for hidden in (secret, webhook_secret.strip(), digest(secret).hex()):
        assert hidden not in told


def test_a_key_is_made_with_its_limits(run: Any, postgres_store: PostgresStore) -> None:
    cases = {
        "usual": ([], None, None),
        "slow": (["--rate", "2.5"], 2.5, 5),
        "both": (["--rate", "2", "--burst", "1000"], 2.0, 1000),
        "free": (["--rate", "0"], 0.0, None),
        "only-burst": (["--burst", "9"], None, 9),
    }
    for name, (options, _, _) in cases.items():
        assert run("create", "--name", name, "--scope", "read", *options)[0] == 0
    made = {key.name: (key.rate_per_second, key.rate_burst) for key in postgres_store.access.keys()}  # noqa: SIM118 - no dict
    assert made == {name: (rate, burst) for name, (_, rate, burst) in cases.items()}
    for wrong in (["--rate", "-1"], ["--rate", "nan"], ["--rate", "inf"], ["--burst", "0"], ["--actor", "\x1b[2J"]):
        assert run("create", "--name", "wrong", "--scope", "read", *wrong)[0] == 2
    assert "slow" in run("list")[1]
