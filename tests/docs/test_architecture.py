"""The page on architecture and its pictures show the rooms that are there, in the layers that imports are held to."""

import re
import tomllib
from xml.etree import ElementTree as ET

from tests.harness.pages import ROOT

PAGE = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
SVG = "{http://www.w3.org/2000/svg}"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
(LAYERS,) = [one["layers"] for one in CONTRACTS if one.get("containers") == ["cxi_bandit"]]


def words(picture: str, kind: str = "") -> list[ET.Element]:
    tree = ET.parse(ROOT / "docs/static" / picture)  # noqa: S314 - our own file
    return [each for each in tree.iter(f"{SVG}text") if each.get("class", "") == kind]


def test_the_picture_of_rooms_has_the_layers_that_imports_are_held_to() -> None:
    drawn: dict[float, list[str]] = {}
    for each in words("rooms.svg", "name"):
        drawn.setdefault(float(each.attrib["y"]), []).append(str(each.text))
    beside = [name for names in drawn.values() for name in names if name == "simulator"]
    layers = [" | ".join(sorted(names)) for _, names in sorted(drawn.items()) if names != ["simulator"]]
    assert beside == ["simulator"]
    assert layers == [" | ".join(sorted(layer.split(" | "))) for layer in LAYERS]


def test_every_room_and_every_folder_is_in_the_table_and_no_other() -> None:
    listed = {
        name.rstrip("/")
        for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    rooms = {
        path for path in (ROOT / "cxi_bandit").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    within = {path.relative_to(ROOT).as_posix() for path in rooms if not path.name.startswith("__")}
    assert listed == within | {"simulator", "policies", "migrations", "tests", "docs"}
    assert {layer for line in LAYERS for layer in line.split(" | ")} == {
        name.split("/")[1].removesuffix(".py") for name in within
    }


def test_every_verb_that_a_picture_names_is_a_module() -> None:
    named = {str(each.text) for kind in ("", "small") for each in words("flow.svg", kind)}
    modules = {name for text in named for name in re.findall(r"\b((?:engine|service)\.\w+)", text)}
    assert {"engine.decide", "engine.learn", "engine.promote", "service.rewards"} <= modules
    assert [name for name in modules if not (ROOT / "cxi_bandit" / f"{name.replace('.', '/')}.py").exists()] == []


def test_pictures_ask_for_nothing_from_elsewhere_and_speak_to_those_who_do_not_see_them() -> None:
    for picture in ("rooms.svg", "flow.svg"):
        text = (ROOT / "docs/static" / picture).read_text("utf-8")
        assert "prefers-color-scheme: dark" in text
        assert set(re.findall(r"https?://[^\"' ]+", text)) == {SVG.strip("{}")}
        assert "<title" in text
        assert "<desc" in text
        assert f"(../static/{picture})" in PAGE
