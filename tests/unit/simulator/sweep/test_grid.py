"""A grid file becomes manifests that can be written down; what is wrong in it is named."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput, ManifestInvalid
from cxi_bandit.policy.explorers import Softmax
from cxi_bandit.policy.manifest import manifest_sha
from cxi_bandit.policy.parsing import parse_manifest
from simulator.manifests import shipped_texts
from simulator.sweep import read_grid
from simulator.sweep.grid import toml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in shipped_texts().items():
        (tmp_path / name).write_text(text)
    return tmp_path


def grid(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text)
    return path


def test_every_combination_is_a_manifest_of_its_own(folder: Path) -> None:
    text = (
        'manifests = ["cart.toml", "search.toml"]\n[grid]\n"learning.learning_rate" = [0.1, 0.5]\n'
        '"exploration.explorer" = [{ algorithm = "softmax", inverse_temperature = 5.0 }, { algorithm = "regcb" }]\n'
        '"learning.interactions" = [["SA"], ["SA", "SAA"], ["SSA"]]\n'
    )
    found = read_grid(grid(folder, text))
    assert len(found.variants) == 2 * 2 * 2 * 3
    assert len({variant.sha for variant in found.variants}) == len(found.variants)
    first = found.variants[0].manifest
    assert first.name == "cart"
    assert first.learning.learning_rate == 0.1
    assert first.exploration.explorer == Softmax(inverse_temperature=5.0)
    for variant in found.variants:
        assert parse_manifest(variant.text, "again") == variant.manifest
        assert manifest_sha(variant.text) == variant.sha


def test_without_a_grid_the_manifests_are_compared_as_they_are(folder: Path) -> None:
    found = read_grid(grid(folder, 'manifests = ["cart.toml"]\n'))
    (variant,) = found.variants
    assert variant.text == shipped_texts()["cart.toml"]
    assert (variant.label, variant.changes, found.train, found.choose) == ("cart.toml", {}, 0.5, 0.25)


@pytest.mark.parametrize("name", ["cart.toml", "search.toml", "detail-page.toml", "repeat-purchase.toml"])
def test_a_manifest_written_down_again_is_the_same(name: str) -> None:
    document = tomllib.loads(shipped_texts()[name])
    assert tomllib.loads(toml(document)) == document


_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _values, max_size=4))
def test_what_is_written_is_what_is_read(document: dict[str, object]) -> None:
    assert tomllib.loads(toml(document)) == document


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("manifests = [", InvalidInput, "grid.toml"),
        ("manifests = []", InvalidInput, "length"),
        ('manifests = ["cart.toml"]\nspeed = 1', InvalidInput, "speed"),
        ('manifests = ["none.toml"]', InvalidInput, "cannot read"),
        ('manifests = ["cart.toml"]\ntrain = 0.8\nchoose = 0.2', InvalidInput, "no rows to judge"),
        ('manifests = ["cart.toml"]\n[grid]\n"learning.rate" = [1]', ManifestInvalid, "rate"),
        ('manifests = ["cart.toml"]\n[grid]\n"name.x" = [1]', InvalidInput, "no table"),
        ('manifests = ["cart.toml"]\n[grid]\n"learning.learning_rate" = [0.1, 0.1]', InvalidInput, "the same"),
        (f'manifests = ["cart.toml"]\n[grid]\n"learning.bits" = {list(range(300))}', InvalidInput, "at most 200"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_grid(grid(folder, text))
