"""The config's documentation is its schema: it must stay whole and in step."""

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "config"
SCHEMA = yaml.safe_load((FOLDER / "schema.yaml").read_text())
DEFAULT = yaml.safe_load((FOLDER / "config.yaml").read_text())


def keys(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every key that a config may have, with its schema."""
    found = []
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            found += [(f"{path}{name}", inner), *keys(inner, f"{path}{name}.")]
        for other in ("additionalProperties", "items"):
            found += keys(schema.get(other), f"{path}<{other}>.")
        for name, inner in schema.get("$defs", {}).items():
            found += keys(inner, f"<{name}>.")
    return found


KEYS = keys(SCHEMA)


def test_the_walk_finds_the_keys():
    names = [name for name, _ in KEYS]
    assert {"run", "run.sparsities", "<schedule>.epochs"} <= set(names)
    assert "recipes.<additionalProperties>.prune.layers" in names


@pytest.mark.parametrize(("name", "schema"), KEYS, ids=[name for name, _ in KEYS])
def test_every_key_is_described(name, schema):
    described = schema.get("description") or "$ref" in schema or schema.get("type") == "object"
    assert described, f"give '{name}' a description in config/schema.yaml"


@pytest.mark.parametrize("name", SCHEMA["$defs"])
def test_what_is_referred_to_is_described(name):
    schema = SCHEMA["$defs"][name]
    assert schema.get("description") or schema["type"] == "object"


def test_the_default_shows_every_section():
    missing = set(SCHEMA["properties"]) - set(DEFAULT)
    assert not missing, f"show {sorted(missing)} in config/config.yaml"


@pytest.mark.parametrize("section", ["run", "timing", "quality", "checks"])
def test_the_default_shows_every_key_of_a_selection(section):
    """Catalogue entries have optional keys; what is selected and measured is written out."""
    missing = set(SCHEMA["properties"][section]["properties"]) - set(DEFAULT[section])
    assert not missing, f"show {sorted(missing)} under '{section}' in config/config.yaml"


def objects(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema
    if not isinstance(schema, dict | list):
        return []
    here = [schema] if isinstance(schema, dict) and "properties" in schema else []
    return [*here, *(each for value in inner for each in objects(value))]


def test_no_object_lets_a_typo_pass():
    found = [each for each in objects(SCHEMA) if isinstance(each["properties"], dict)]
    assert len(found) > 8
    open_ones = [sorted(each["properties"]) for each in found
                 if each.get("additionalProperties") is not False]  # fmt: skip
    assert not open_ones, f"add 'additionalProperties: false' to the objects with {open_ones}"
