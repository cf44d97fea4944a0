import io
import json

from cxi_bandit.telemetry.log import open_log


class Written(io.StringIO):
    """A stream that remembers each write, as the kernel does of a file that several processes share."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str, /) -> int:
        self.pieces.append(text)
        return super().write(text)


def test_a_line_is_one_write_so_that_no_other_process_can_cut_into_it() -> None:
    stream = Written()
    open_log("learner", stream=stream).info("ready", answers=2)
    (piece,) = stream.pieces
    assert piece.endswith("}\n")
    assert json.loads(piece)["event"] == "ready"
