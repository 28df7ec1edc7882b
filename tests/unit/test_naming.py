"""distilrank.naming: models by name."""

import re

import pytest

from distilrank.naming import model_name, models_named


def student(name: str, sparsity: int = 980, teacher: str = "lm") -> dict:
    return {"teacher": teacher, "student": name, "recipe": "best", "sparsity": sparsity, "seed": 1}


MODELS = [{"teacher": "lm"}, {"teacher": "lm-small"}, student("C"), student("C", 0), student("E")]


def named(*patterns: str) -> list[str]:
    return [model_name(model) for model in models_named(patterns, MODELS)]


def test_names_and_patterns_choose():
    assert named("lm/C/best/sp980") == ["lm/C/best/sp980"]
    assert named("lm") == ["lm"]
    assert named("*/C/*") == ["lm/C/best/sp980", "lm/C/best/sp0"]
    assert named("*") == [model_name(model) for model in MODELS]
    assert named("lm*") == named("*")
    assert named() == []


def test_a_model_is_chosen_once_and_in_the_runs_order():
    assert named("*/E/*", "lm", "*/sp980") == ["lm", "lm/C/best/sp980", "lm/E/best/sp980"]


@pytest.mark.parametrize("pattern", ["lm/C/best/sp98", "LM", "*/D/*", ""])
def test_what_names_nothing_is_refused_with_what_there_is(pattern):
    said = f"config key 'export.models' holds '{pattern}', and no model of the run has such a name"
    with pytest.raises(ValueError, match=re.escape(said) + ".* known are .*lm/C/best/sp980"):
        named("lm", pattern)
