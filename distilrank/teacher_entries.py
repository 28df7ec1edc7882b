"""The config's forests: trained, tuned, imported, or the first trees of another one.

Only light imports: Snakemake reads this module every time it plans.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from distilrank.engines import check_reference, make_engine
from distilrank.suggest import check_names


def forests_of(config: Mapping[str, Any]) -> list[str]:
    """The run's forests by name: its teachers, then those that teach no student."""
    return list(dict.fromkeys([*config["run"]["teachers"], *config["run"]["forests"]]))


def kind_of_teacher(teacher: Mapping[str, Any]) -> str:
    """How a forest comes about: ``trained``, ``tuned``, ``imported`` or ``prefix``."""
    if "path" in teacher:
        return "imported"
    if "prefix_of" in teacher:
        return "prefix"
    return "tuned" if "tune" in teacher else "trained"


def whole_of(name: str, teachers: Mapping[str, Any]) -> str:
    """The forest that ``name`` is cut from; of one that is not cut itself."""
    return teachers[name].get("prefix_of", name)


def check_teacher(name: str, teachers: Mapping[str, Any]) -> None:
    """Check an entry of the config's `teachers`, and the one that it is cut from.

    Raises:
        ValueError: one sentence with the key, what was found and what would be right.
    """
    here, teacher = f"config key 'teachers.{name}'", teachers[name]
    if kind_of_teacher(teacher) == "imported":
        _check_imported(f"teachers.{name}", teacher)
        return
    if "trees" not in teacher:
        raise ValueError(
            f"{here} lacks the key 'trees': the most trees from 1, or of a prefix their number; "
            "a forest of your own has path in its place"
        )
    if "first_column" in teacher:
        raise ValueError(f"{here} has first_column, which is for forests of your own, with path")
    if kind_of_teacher(teacher) == "prefix":
        _check_prefix(f"teachers.{name}", teacher, teachers)
        check_teacher(teacher["prefix_of"], teachers)
        return
    tune = teacher.get("tune", {})
    if "leaves" not in teacher:
        raise ValueError(f"{here} lacks the key 'leaves': the most leaves of a tree from 2")
    if "learning_rate" not in teacher and "learning_rate" not in tune:
        raise ValueError(
            f"{here} lacks the key 'learning_rate': the shrinkage above 0, or a range of it in tune"
        )
    searched = {key: value for key, value in tune.items() if isinstance(value, list)}
    if "tune" in teacher and not searched:
        raise ValueError(
            f"config key 'teachers.{name}.tune' searches nothing: give at least one range, such as "
            "learning_rate: [0.02, 0.2]"
        )
    for key, (low, high) in searched.items():
        if key in teacher:
            raise ValueError(
                f"{here} has {key} fixed at {teacher[key]} and searched in {[low, high]}; "
                "drop one of the two"
            )
        if low >= high:
            raise ValueError(
                f"config key 'teachers.{name}.tune.{key}' is {[low, high]}, expected the lowest "
                f"value before the highest; one that is not searched stands above: {key}: {high}"
            )


def check_reference_forest(config: Mapping[str, Any]) -> None:
    """Check that the reference engine can score the run's first forest, before it teaches any.

    A person's own forest is read for this: once a plan, not in each of its jobs.

    Raises:
        ValueError: one sentence with the key, the forest and what would be right; for a file that
            holds no forest the reader's.
    """
    name, engine = config["run"]["teachers"][0], config["timing"]["reference_engine"]
    entry = config["teachers"][name]
    whole = config["teachers"][whole_of(name, config["teachers"])]
    if "path" not in whole:
        check_reference(engine, name, whole["leaves"], False)
        return
    chosen = make_engine(engine)
    if chosen.most_leaves is None and chosen.routes_missing:
        return
    # Planning what has no such forest needs no reader.
    from distilrank.readers import read_forest

    forest = read_forest(Path(whole["path"]).expanduser())
    forest = replace(forest, trees=forest.trees[: entry.get("trees")])
    check_reference(engine, name, forest.max_leaves, forest.routes_missing)


def _check_imported(key: str, teacher: Mapping[str, Any]) -> None:
    others = sorted(set(teacher) - {"path", "first_column"})
    if others:
        raise ValueError(
            f"config key '{key}' has path and {', '.join(others)}: a forest of your own is taken "
            "as it is, so that first_column is all that may stand beside path"
        )
    path = Path(teacher["path"]).expanduser()
    if not path.is_file():
        raise ValueError(
            f"config key '{key}.path' needs {path}, which is not there: relative paths start at "
            f"{Path.cwd()}"
        )


def _check_prefix(key: str, teacher: Mapping[str, Any], teachers: Mapping[str, Any]) -> None:
    source, others = teacher["prefix_of"], sorted(set(teacher) - {"prefix_of", "trees"})
    if others:
        raise ValueError(
            f"config key '{key}' has prefix_of and {', '.join(others)}: a prefix is cut from a "
            "finished forest, so that trees is all that may stand beside prefix_of"
        )
    whole = {name: each for name, each in teachers.items() if "prefix_of" not in each}
    if source in teachers and source not in whole:
        raise ValueError(
            f"config key '{key}.prefix_of' is '{source}', which is a prefix itself; name "
            f"'{teachers[source]['prefix_of']}', which that one is cut from"
        )
    check_names(f"{key}.prefix_of", [source], whole)
    # How many trees an imported forest has shows when it is read.
    if whole[source].get("trees", teacher["trees"]) < teacher["trees"]:
        raise ValueError(
            f"config key '{key}.trees' is {teacher['trees']}, expected up to "
            f"{whole[source]['trees']}, the most that '{source}' has, of which it is the first"
        )
