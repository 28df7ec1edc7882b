"""Slips in the config: how tests make one, and what must be said of it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distilrank.config import check_config

FOLDER = Path(__file__).parents[1] / "config"
DEFAULT = yaml.safe_load((FOLDER / "config.yaml").read_text())
Change = Callable[[dict[str, Any]], Any]
# What, the slip, and what the sentence must say.
Slip = tuple[str, Change, list[str]]
LACKS = "lacks the key "


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake merges a second config file: mappings key by key, all else replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def changed(change: Change) -> dict[str, Any]:
    config = copy.deepcopy(DEFAULT)
    change(config)
    return config


def sentence_of(config: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as raised:
        check_config(config)
    return str(raised.value)


def check_slip(change: Change, said: list[str]) -> None:
    """A slip is named in one sentence with what was found and what is right."""
    sentence = sentence_of(changed(change))
    for part in said:
        assert part in sentence
    assert "\n" not in sentence
    assert len(sentence) < 500


def slips(cases: list[Slip]) -> pytest.MarkDecorator:
    """A test of ``change`` and ``said`` for each case."""
    return pytest.mark.parametrize(
        ("change", "said"), [case[1:] for case in cases], ids=[case[0] for case in cases]
    )
