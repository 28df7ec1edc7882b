"""The config: checked against its schema and itself, with sentences that say what to write.

Only light imports: Snakemake reads this module every time it plans.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from distilrank.engines import engine_names, make_engine
from distilrank.folds import folds_of, source_fold
from distilrank.formats import is_table
from distilrank.naming import engine_of
from distilrank.recipes import expand_grids, points_of
from distilrank.suggest import check_names, suggestion
from distilrank.teacher_entries import check_teacher, forests_of, whole_of

SCHEMA = Path(__file__).parents[1] / "config" / "schema.yaml"
# JSON schema takes 100.0 for a whole number; Python's range and a folder's name do not.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def check_config(config: Mapping[str, Any]) -> None:
    """Check a whole config before any job starts.

    Raises:
        ValueError: one sentence with the key, what was found and what would be right.
    """
    validator = _Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    _check_shape(config, validator)
    _check_grids(config, validator)
    written, config = config["recipes"], expand_grids(config)
    for catalogue in ("datasets", "teachers", "students"):
        check_names(f"run.{catalogue}", config["run"][catalogue], config[catalogue])
    unknown = [name for name in config["run"]["recipes"] if name not in config["recipes"]]
    # A grid's points are too many to list.
    check_names("run.recipes", unknown, written)
    check_names("run.forests", config["run"]["forests"], config["teachers"])
    for name in forests_of(config):
        check_teacher(name, config["teachers"])
    for name in config["run"]["datasets"]:
        _check_folds(name, config["datasets"][name], config["run"]["folds"])
        _check_files(name, config["datasets"][name])
        _check_columns(name, config["datasets"][name])
        if not config["datasets"][name].get("labels", True):
            check_unlabelled(name, config)
        _check_copy(name, config["datasets"][name], config["run"]["folds"])
        if "generate" in config["datasets"][name]:
            _check_generated(name, config["datasets"])
    for name in config["run"]["recipes"]:
        _check_layers(name, config)
        _check_labels(name, config)
        _check_ramp(name, config["recipes"][name]["prune"])
    _check_sparsities("run.sparsities", config["run"]["sparsities"])
    _check_timing(config)
    _check_design(config)


def _check_shape(config: Mapping[str, Any], validator: jsonschema.protocols.Validator) -> None:
    def rank(error: jsonschema.ValidationError) -> tuple[int, list[str]]:
        path = [str(part) for part in error.absolute_path]
        # By name too: errors of a catalogue come in any order.
        return len(path), path

    first = min(validator.iter_errors(_with_string_keys(config)), key=rank, default=None)
    if first is not None:
        raise ValueError(_sentence(first))


def _check_grids(config: Mapping[str, Any], validator: jsonschema.protocols.Validator) -> None:
    """Every point of a grid is a recipe like those that are written out."""
    for name, recipe in config["recipes"].items():
        if "grid" not in recipe:
            continue
        try:
            _check_shape({**config, "recipes": points_of(name, recipe)}, validator)
        except ValueError as error:
            raise ValueError(
                f"config key 'recipes.{name}.grid' makes a recipe that is refused: {error}"
            ) from None


def per_mille(sparsity: float) -> int:
    """The sparsity as it stands in file names: 0.987 is 987."""
    return round(sparsity * 1000)


def _with_string_keys(value: Any) -> Any:
    """YAML allows numbers as keys and JSON schema does not: ``1:`` becomes ``"1"``."""
    if isinstance(value, Mapping):
        return {str(key): _with_string_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_string_keys(item) for item in value]
    return value


def _sentence(error: jsonschema.ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    here = f"config key '{path}'" if path else "the config"
    known = list(error.schema.get("properties", {}))
    match error.validator:
        case "additionalProperties" if known:
            extra = next(key for key in error.instance if key not in known)
            return f"{here} has the unknown key '{extra}': {suggestion(extra, known)}"
        case "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            about = error.schema["properties"].get(missing, {}).get("description", "")
            return f"{here} lacks the key '{missing}'{': ' if about else ''}{about}"
        case "oneOf" | "anyOf" | "pattern" | "type" | "propertyNames":
            about = error.schema.get("description", error.message)
            return f"{here} is {_shown(error.instance)}, expected: {about}"
        case _:
            about = error.schema.get("description")
            return f"{here} is wrong: {error.message}" + (f"; expected: {about}" if about else "")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_folds(name: str, dataset: Mapping[str, Any], wanted: list[int]) -> None:
    folds = folds_of(dataset)
    if not set(wanted) & set(folds):
        raise ValueError(
            f"config key 'run.folds' is {wanted} and the data set '{name}' has none of them: "
            f"it has {folds}"
        )
    if "all" in dataset["files"] and (len(folds) < 3 or folds != list(range(1, len(folds) + 1))):
        raise ValueError(
            f"config key 'datasets.{name}.folds' is {folds}: files.all is dealt into folds that "
            "are numbered from 1, three or more, such as [1, 2, 3, 4, 5], or cv5 for short"
        )


def _check_files(name: str, dataset: Mapping[str, Any]) -> None:
    here = f"config key 'datasets.{name}'"
    files, columns = dataset["files"], dataset.get("columns")
    tables = [is_table(entry["path"]) for entry in files.values()]
    if "all" in files and len(files) > 1:
        others = ", ".join(sorted(set(files) - {"all"}))
        raise ValueError(f"{here} has files.all, which is dealt into all splits, beside {others}")
    if any(tables) != all(tables):
        raise ValueError(f"{here} mixes tables and LETOR text; name files of one kind")
    if all(tables) and not columns:
        raise ValueError(
            f"{here} has tables and lacks the key 'columns', such as "
            "{label: relevance, query: query_id}"
        )
    if columns and not all(tables):
        raise ValueError(f"{here} has the key 'columns', yet its files are no CSV or Parquet files")
    if not columns and "features" not in dataset:
        raise ValueError(f"{here} lacks the key 'features': the number of features from 1")
    names, width = dataset.get("feature_names"), dataset.get("features")
    if isinstance(names, list) and width is not None and len(names) != width:
        raise ValueError(f"{here} has {len(names)} feature_names and {width} features")


def _check_columns(name: str, dataset: Mapping[str, Any]) -> None:
    columns = dataset.get("columns")
    if columns and dataset.get("labels", True) and "label" not in columns:
        raise ValueError(
            f"config key 'datasets.{name}.columns' lacks the key 'label': the column of whole "
            "grades from 0, 0 = not relevant; or set labels: false in the data set's entry"
        )


def check_unlabelled(name: str, config: Mapping[str, Any]) -> None:
    """Nothing of the run learns from labels that the data set ``name`` has none of.

    Raises:
        ValueError: one sentence with the key of what does.
    """
    because = f"the data set '{name}' has no labels (labels: false)"
    for forest in forests_of(config):
        whole = whole_of(forest, config["teachers"])
        if "path" not in config["teachers"][whole]:
            raise ValueError(
                f"config key 'teachers.{whole}' is a forest to be trained, and {because}: name a "
                "forest that you have, such as teachers: {mine: {path: model.txt}}, in "
                "run.teachers and run.forests"
            )
    for recipe in config["run"]["recipes"]:
        for section in ("distil", "prune"):
            if config["recipes"][recipe][section].get("learn_from") == "labels":
                raise ValueError(
                    f"config key 'recipes.{recipe}.{section}.learn_from' is labels, and {because}: "
                    f"take '{recipe}' out of run.recipes"
                )
    if config["design"]["learn_from"]:
        raise ValueError(
            f"config key 'design.learn_from' is {config['design']['learn_from']}, which learns "
            f"from nDCG@10, and {because}: set it to []"
        )


def folder_files(dataset: Mapping[str, Any], fold: int | str) -> list[Path]:
    """The files of a fold that are read of a person's own ``folder``."""
    folder, number = Path(dataset["folder"]).expanduser(), str(source_fold(dataset, fold))
    return [folder / file["path"].replace("{fold}", number) for file in dataset["files"].values()]


def _check_copy(name: str, dataset: Mapping[str, Any], folds: Iterable[int]) -> None:
    """A person's own copy is there before any job starts."""
    if "folder" in dataset:
        key, needed = "folder", [Path(dataset["folder"]).expanduser()]
        for fold in folds:
            needed += folder_files(dataset, fold) if fold in folds_of(dataset) else []
    elif "path" in dataset.get("archive", {}):
        key, needed = "archive.path", [Path(dataset["archive"]["path"]).expanduser()]
    else:
        return
    for path in needed:
        if not path.exists():
            raise ValueError(
                f"config key 'datasets.{name}.{key}' needs {path}, which is not there: relative "
                f"paths start at {Path.cwd()}"
            )


def _check_generated(name: str, datasets: Mapping[str, Any]) -> None:
    generated = datasets[name]
    source = generated["generate"]["from"]
    known = [
        each
        for each, entry in datasets.items()
        if "generate" not in entry and entry.get("labels", True)
    ]
    check_names(f"datasets.{name}.generate.from", [source], known)
    if generated.get("features") != datasets[source].get("features"):
        raise ValueError(
            f"config key 'datasets.{name}.features' is {generated.get('features')}, expected "
            f"{datasets[source].get('features')} as '{source}' has, which it is generated from"
        )
    if folds_of(generated) != [1]:
        raise ValueError(
            f"config key 'datasets.{name}.folds' is {generated['folds']}, expected [1]: a "
            "generated data set has one fold"
        )


def _check_labels(recipe: str, config: Mapping[str, Any]) -> None:
    for section in ("distil", "prune"):
        settings = config["recipes"][recipe][section]
        if settings.get("learn_from") == "labels" and settings.get("synthetic_per_real", 0):
            raise ValueError(
                f"config key 'recipes.{recipe}.{section}.synthetic_per_real' is "
                f"{settings['synthetic_per_real']}, expected 0 beside learn_from: labels, since "
                "synthetic documents have no labels"
            )


def _check_layers(recipe: str, config: Mapping[str, Any]) -> None:
    named = config["recipes"][recipe]["prune"]["layers"]
    for student in config["run"]["students"]:
        layers = len(config["students"][student]) + 1
        for layer in [] if named == "hidden" else named:
            if layer > layers:
                raise ValueError(
                    f"config key 'recipes.{recipe}.prune.layers' names layer {layer}: student "
                    f"'{student}' has layers 1 to {layers}"
                )


def _check_ramp(recipe: str, prune: Mapping[str, Any]) -> None:
    if prune.get("ramp", 1) > prune["epochs"]:
        raise ValueError(
            f"config key 'recipes.{recipe}.prune.ramp' is {prune['ramp']}, expected at most "
            f"{prune['epochs']}, its epochs"
        )


def _check_sparsities(key: str, sparsities: Iterable[float]) -> None:
    for sparsity in sparsities:
        if abs(sparsity * 1000 - per_mille(sparsity)) > 1e-6:
            raise ValueError(
                f"config key '{key}' holds {sparsity}, expected whole thousandths such as "
                f"{min(per_mille(sparsity), 999) / 1000}: file names hold no more digits"
            )


def _check_timing(config: Mapping[str, Any]) -> None:
    timing, engines = config["timing"], config["run"]["engines"]
    if timing["headline_batch"] not in timing["batches"]:
        raise ValueError(
            f"config key 'timing.headline_batch' is {timing['headline_batch']}, "
            f"expected one of timing.batches: {timing['batches']}"
        )
    check_names("run.engines", engines, engine_names())
    reference = timing["reference_engine"]
    check_names("timing.reference_engine", [reference], engines)
    forest_engines = [name for name in engines if make_engine(name).kind == "forest"]
    if reference not in forest_engines:
        raise ValueError(
            f"config key 'timing.reference_engine' is '{reference}', which scores no forests; "
            f"expected one of {', '.join(forest_engines)}"
        )


def design_recipe(config: Mapping[str, Any], precision: str, sparsity: float) -> str:
    """The recipe that trains a design: the run's first that does not tune for int8.

    A pruned int8 design takes one that does: the run's first, else the catalogue's first with the
    same distillation. Where there is none it is trained like the others.
    """
    recipes, chosen = config["recipes"], config["run"]["recipes"]
    tuned = [name for name in recipes if recipes[name]["prune"].get("precision") == "int8"]
    plain = next((name for name in chosen if name not in tuned), chosen[0])
    if precision != "int8" or not sparsity:
        return plain
    own = [name for name in chosen if name in tuned]
    alike = [name for name in tuned if recipes[name]["distil"] == recipes[plain]["distil"]]
    return next(iter([*own, *alike, plain]))


def _check_design(config: Mapping[str, Any]) -> None:
    design = config["design"]
    _check_sparsities("design.sparsities", design["sparsities"])
    check_names("design.learn_from", design["learn_from"], config["students"])
    for budget in design["budget_us"]:
        if round(1000 * budget) < 1 or abs(1000 * budget - round(1000 * budget)) > 1e-6:
            raise ValueError(
                f"config key 'design.budget_us' holds {budget}, expected whole nanoseconds such as "
                f"{max(1, round(1000 * budget)) / 1000}: names hold no more digits"
            )
    if design["train"]:
        _check_designs_can_be_timed(config)


def _check_designs_can_be_timed(config: Mapping[str, Any]) -> None:
    """What is promised at a batch on an engine has to be measured there, pruned as promised."""
    design, batches = config["design"], config["timing"]["batches"]
    if design["batch"] not in batches:
        raise ValueError(
            f"config key 'design.batch' is {design['batch']}, expected one of timing.batches, "
            f"{batches}, since design.train is above 0 and designs are timed"
        )
    for precision in design["precisions"]:
        engine = engine_of(precision)
        if engine not in config["run"]["engines"]:
            raise ValueError(
                f"config key 'design.precisions' holds '{precision}', and run.engines lacks "
                f"'{engine}', which scores it: add the engine or drop the precision"
            )
        for sparsity in design["sparsities"]:
            recipe = design_recipe(config, precision, sparsity)
            layers = config["recipes"][recipe]["prune"]["layers"]
            if sparsity and layers != [1]:
                raise ValueError(
                    f"config key 'recipes.{recipe}.prune.layers' is {layers}, expected [1]: "
                    "designs have their first layer pruned and no other; name a recipe in "
                    "run.recipes that does so, or set design.train to 0"
                )
