"""Workspaces: opened from bytes, saved to bytes, and fed examples that are set up before use.

`Workspace.predict` and `learn` never call `setup_example` on the examples of a list: without it indices are not strided
and the constant is missing, and the model is silently wrong. `example` and `Refilled` are therefore the only ways to
make one.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vowpalwabbit import pyvw

from cxi_bandit.domain.errors import ModelInvalid
from cxi_bandit.vowpal.encoding import Feature

# VW keeps 256 examples of 30 kB ready for its own parser, which is not used here: making and freeing them took as long
# as all the rest of a small model's workspace, with the GIL held. No model's bytes know of it.
_NO_PARSER: Final = ("--ring_size", "1")


def open_workspace(arguments: list[str], data: bytes | None) -> pyvw.Workspace:
    """A workspace of these arguments, continuing from model bytes where given.

    Raises:
        ModelInvalid: VW refuses the bytes, or they were made with other arguments.
    """
    if data is None:
        return pyvw.Workspace(arg_list=[*arguments, *_NO_PARSER])
    # VW reads and writes models by file name only.
    with tempfile.NamedTemporaryFile(suffix=".vw") as file:
        file.write(data)
        file.flush()
        try:
            return pyvw.Workspace(arg_list=[*arguments, *_NO_PARSER, "-i", file.name])
        except RuntimeError as error:
            raise ModelInvalid(f"Vowpal Wabbit refuses the model: {error}") from error


def saved_bytes(workspace: pyvw.Workspace) -> bytes:
    """The model as VW saves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.vw")
        workspace.save(str(path))
        return path.read_bytes()


def example(workspace: pyvw.Workspace, namespaces: dict[str, list[Feature]], label: str | None = None) -> pyvw.Example:
    """One example, labelled and set up. Setting a label again would append to it, so labelled ones are used once."""
    made = pyvw.Example(workspace, namespaces)
    if label is not None:
        made.set_label_string(label)
    made.setup_example()
    return made


class Refilled:
    """Examples of one namespace whose features are exchanged from one prediction, or lesson, to the next.

    Making an example anew takes thrice as long as refilling one, and pyvw's Python layer, which this goes below, as
    long as all of VW. Threads may share it: an example is nobody else's between `filled` and `emptied`.
    """

    def __init__(self, workspace: pyvw.Workspace, namespace: str, label: str | None = None) -> None:
        self._workspace = workspace
        self._namespace = ord(namespace)
        self._hash = workspace.hash_space(namespace)
        self._label = label
        self._label_type = workspace.get_label_type().value
        self._spare: list[pyvw.pylibvw.example] = []

    def filled(self, features: list[Feature]) -> pyvw.pylibvw.example:
        """An example of these features, set up; give it back to `emptied`, or drop it when something went wrong."""
        try:
            one = self._spare.pop()
        except IndexError:
            one = self._made()
        one.push_feature_list(self._workspace, self._namespace, self._hash, features)
        self._workspace.setup_example(one)
        return one

    def emptied(self, one: pyvw.pylibvw.example) -> None:
        """Takes back what `filled` gave."""
        self._workspace.unsetup_example(one)
        one.erase_namespace(self._namespace)
        self._spare.append(one)

    def labelled(self, features: list[Feature], label: str) -> pyvw.pylibvw.example:
        """An example of these features with a label of its own, set up; for one use, as nothing takes a label off."""
        one = self._made()
        one.set_label_string(self._workspace, label, self._label_type)
        one.push_feature_list(self._workspace, self._namespace, self._hash, features)
        self._workspace.setup_example(one)
        return one

    def _made(self) -> pyvw.pylibvw.example:
        made = pyvw.pylibvw.example(self._workspace, self._label_type)
        if self._label is not None:
            made.set_label_string(self._workspace, self._label, self._label_type)
        made.push_namespace(self._namespace)
        return made


def action_scores(workspace: pyvw.Workspace, examples: list[pyvw.pylibvw.example]) -> Sequence[float]:
    """What `Workspace.predict` gives for a list whose prediction is a vector over its actions, in their order."""
    pyvw.pylibvw.vw.predict_multi(workspace, examples)
    scores: Sequence[float] = examples[0].get_action_scores()
    return scores


def learn(workspace: pyvw.Workspace, examples: list[pyvw.pylibvw.example]) -> None:
    """What `Workspace.learn` does with a list, the shared example first."""
    pyvw.pylibvw.vw.learn_multi(workspace, examples)
