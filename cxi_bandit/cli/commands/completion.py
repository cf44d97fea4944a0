"""The declaration of `cxi-bandit completion`."""

import rich_click as click

from cxi_bandit.cli.command import Command


@click.command(
    cls=Command,
    work="cxi_bandit.cli.completion:completion",
    page="howto/shell-completion.md",
    examples=(
        ('eval "$(cxi-bandit completion bash)"', "for this shell; in ~/.bashrc or ~/.zshrc for every one"),
        ("cxi-bandit completion fish", "what goes to ~/.config/fish/completions/cxi-bandit.fish"),
    ),
)
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
def completion() -> None:
    """Print the code with which SHELL completes commands, options, and names of policies, keys, logs and more.

    Without SHELL it is the one that $SHELL names.
    """
