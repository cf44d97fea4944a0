"""The command line as a tree that can be walked."""

from collections.abc import Iterator

import click


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that name it, the groups too."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from tree(below, (*path, name))


def commands(command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """What can be called, by its words; a group only where it does something by itself."""
    for path, one in tree(command):
        if not isinstance(one, click.Group) or (path and one.invoke_without_command):
            yield " ".join(path), one
