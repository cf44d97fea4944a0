"""What holds pages against programs can tell them apart."""

import pytest

from tests.harness.pages import Entry, entries, resembles


def test_a_block_of_commands_is_read_as_a_shell_reads_it() -> None:
    text = "$ cat > a <<END\n> {}\n> END\n$ make demo\nit says\n> so\n"
    assert list(entries(text)) == [Entry("cat > a <<END\n{}\nEND", ""), Entry("make demo", "it says\n> so")]


@pytest.mark.parametrize(
    ("said", "alike"),
    [
        ("Filed as evaluation 7: 1,234 bets of 0.25\n", True),
        ("┃ Filed as ┃ evaluation 7: 1,234\nbets of 0.5 ┃", True),
        ("Filed as evaluation 7: 1,234 bets of money", False),
        ("Refused as evaluation 7: 1,234 bets of 0.5", False),
        ("", False),
    ],
)
def test_output_may_differ_in_numbers_frames_and_line_breaks_alone(said: str, alike: bool) -> None:
    assert resembles(said, "Filed as evaluation 1: 9 bets of 0.1") is alike


def test_three_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert resembles('{"a": 1, "b": {"c": 2}}', '{"a": 1, ...}')
    assert not resembles('{"b": 1, "a": 2}', '{"a": 1, ...}')
    assert not resembles("1 and more", "1")
