"""Workspaces: opened from bytes, saved to bytes, and fed examples that are set up before use.

`Workspace.predict` and `learn` never call `setup_example` on the examples of a list: without it indices are not strided
and the constant is missing, and the model is silently wrong. `example` and `PlainExamples` are therefore the only ways
to make one.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from vowpalwabbit import pyvw

from cxi_bandit.domain.errors import ModelInvalid
from cxi_bandit.vowpal.encoding import Feature


def open_workspace(arguments: list[str], data: bytes | None) -> pyvw.Workspace:
    """A workspace of these arguments, continuing from model bytes where given.

    Raises:
        ModelInvalid: VW refuses the bytes, or they were made with other arguments.
    """
    if data is None:
        return pyvw.Workspace(arg_list=arguments)
    # VW reads and writes models by file name only.
    with tempfile.NamedTemporaryFile(suffix=".vw") as file:
        file.write(data)
        file.flush()
        try:
            return pyvw.Workspace(arg_list=[*arguments, "-i", file.name])
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


class PlainExamples:
    """The same examples without pyvw's Python layer, which takes as long as all of VW: for prediction alone.

    Nobody may ask them for more than `action_scores` does; in particular they do not know whether they are set up.
    """

    def __init__(self, workspace: pyvw.Workspace) -> None:
        self._workspace = workspace
        self._label_type = workspace.get_label_type().value

    def made(self, namespaces: dict[str, list[Feature]], label: str | None = None) -> pyvw.pylibvw.example:
        """As `example`."""
        made = pyvw.pylibvw.example(self._workspace, self._label_type)
        made.push_feature_dict(self._workspace, namespaces)
        if label is not None:
            made.set_label_string(self._workspace, label, self._label_type)
        self._workspace.setup_example(made)
        return made


def action_scores(workspace: pyvw.Workspace, examples: list[pyvw.pylibvw.example]) -> Sequence[float]:
    """What `Workspace.predict` gives for a list whose prediction is a vector over its actions, in their order."""
    pyvw.pylibvw.vw.predict_multi(workspace, examples)
    scores: Sequence[float] = examples[0].get_action_scores()
    return scores
