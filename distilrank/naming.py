"""What models, designs and their engines are called; imported wherever a name is made."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from distilrank.suggest import suggestion


def budget_name(budget: float) -> str:
    """A budget of whole nanoseconds as it stands in names: 0.5 us is ``500ns``."""
    return f"{round(1000 * budget)}ns"


def engine_of(precision: str) -> str:
    """The engine that scores a design."""
    return f"native-{precision}"


def model_name(model: Mapping[str, Any]) -> str:
    """Such as ``lm-large`` or ``lm-large/C/best/sp980``, the sparsity in thousandths."""
    if "student" not in model:
        return model["teacher"]
    return "{teacher}/{student}/{recipe}/sp{sparsity}".format(**model)


def models_named(
    patterns: Iterable[str], models: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of ``models`` whose name (`model_name`) one of the ``patterns`` has, in their order.

    Raises:
        ValueError: if no model has the name, or a name of that pattern; lists what there is.
    """
    names, chosen = {model_name(model) for model in models}, set()
    for pattern in patterns:
        found = {name for name in names if fnmatchcase(name, pattern)}
        if not found:
            raise ValueError(
                f"config key 'export.models' holds '{pattern}', and no model of the run has such "
                f"a name: {suggestion(pattern, names)}"
            )
        chosen |= found
    return [model for model in models if model_name(model) in chosen]
