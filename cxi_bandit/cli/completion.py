"""`cxi-bandit completion`: the code with which a shell completes what is typed."""

import os
import sys
from pathlib import PurePath
from typing import Final

import rich_click as click
from click.shell_completion import get_completion_class

from cxi_bandit.domain.errors import InvalidInput

PROGRAM: Final = "cxi-bandit"
_SHELLS: Final = ("bash", "zsh", "fish")


def completion(shell: str | None) -> None:
    """The work of `cxi-bandit completion`."""
    wanted = shell or PurePath(os.environ.get("SHELL", "")).name
    if wanted not in _SHELLS:
        raise InvalidInput("SHELL", f"is one of {', '.join(_SHELLS)}; write `{PROGRAM} completion bash`")
    kind = get_completion_class(wanted)
    if kind is None:
        raise InvalidInput("SHELL", f"{wanted} is not known to the installed version of click")
    # The script calls the program back through a variable of click's; which commands there are, it asks then.
    sys.stdout.write(kind(click.Command(PROGRAM), {}, PROGRAM, "_CXI_BANDIT_COMPLETE").source() + "\n")
