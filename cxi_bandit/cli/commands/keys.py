"""The declaration of `cxi-bandit keys`."""

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.completing import KEYS, SOURCES, WEBHOOK_SOURCES
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options
from cxi_bandit.domain.access import Scope

_PAGE = "howto/keys-and-webhooks.md"


@click.group(
    cls=CommandGroup,
    page=_PAGE,
    examples=(
        ("cxi-bandit keys create --name shop --scope decide --scope reward", "a key for a shopping surface"),
        ("cxi-bandit keys list", "all keys there are"),
    ),
)
def keys() -> None:
    """API keys and webhook secrets. A secret is shown once, when it is made; only its digest is kept."""


@keys.command(
    work="cxi_bandit.cli.keys:create",
    page=_PAGE,
    examples=(
        ("cxi-bandit keys create --name ops --scope read", "a key that only looks"),
        (
            "cxi-bandit keys create --name shop-2 --scope decide --scope reward --source shop --rate 500",
            "the next key of a sender that rotates its keys, with a limit",
        ),
    ),
)
@click.option("--name", required=True, help="Unique; the actor of audit lines.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; may be given again.",
)
@click.option(
    "--source",
    shell_complete=SOURCES,
    help="Reward source of what is sent with it; keep it when you rotate.",
    show_default="the name",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    help="Requests or items a second it may ask of one worker, 0 for no limit.",
    show_default="the service's",
)
@click.option(
    "--burst",
    type=click.IntRange(min=1),
    help="How much of that at once.",
    show_default="two seconds of --rate, else the service's",
)
@ACTOR
@AS_JSON
@database_options
def create() -> None:
    """Make a key and show its secret, once."""


@keys.command(
    "list",
    work="cxi_bandit.cli.keys:list_",
    page=_PAGE,
    examples=(("cxi-bandit keys list --json", "for a program; secrets are kept nowhere"),),
)
@AS_JSON
@database_options
def list_() -> None:
    """Show all keys, revoked ones too."""


@keys.command(
    work="cxi_bandit.cli.keys:revoke",
    page=_PAGE,
    examples=(("cxi-bandit keys revoke shop-1", "running workers refuse it within seconds"),),
)
@click.argument("name", shell_complete=KEYS)
@ACTOR
@database_options
def revoke() -> None:
    """Refuse a key from now on; running workers follow within seconds."""


@keys.group(
    "webhook-secret",
    page=_PAGE,
    examples=(("cxi-bandit keys webhook-secret add shop-events", "a secret for a sender that signs"),),
)
def webhook_secret() -> None:
    """The secrets with which a source signs its webhooks; several may be active, so that rotating drops nothing."""


@webhook_secret.command(
    "add",
    work="cxi_bandit.cli.keys:add_secret",
    page=_PAGE,
    examples=(("cxi-bandit keys webhook-secret add shop-events", "the first, or the next beside it"),),
)
@click.argument("source", shell_complete=WEBHOOK_SOURCES)
@ACTOR
@AS_JSON
@database_options
def add_secret() -> None:
    """Make another active secret for SOURCE and show it, once."""


@webhook_secret.command(
    "revoke",
    work="cxi_bandit.cli.keys:revoke_secrets",
    page=_PAGE,
    examples=(
        ("cxi-bandit keys webhook-secret revoke shop-events", "the older ones, after rotating"),
        ("cxi-bandit keys webhook-secret revoke shop-events --all", "refuse this sender"),
    ),
)
@click.argument("source", shell_complete=WEBHOOK_SOURCES)
@click.option("--all", "every", is_flag=True, help="The newest too: webhooks of this source are refused.")
@ACTOR
@database_options
def revoke_secrets() -> None:
    """Revoke SOURCE's older secrets, once its sender signs with the newest."""
