"""ONNX's ``TreeEnsembleRegressor``, as scikit-learn's forests are exported by skl2onnx."""

from pathlib import Path
from typing import Any

import numpy as np

from distilrank.forest import Forest, Tree
from distilrank.readers.fields import Nodes, array, below, forest_of, integers, nan_goes, shown

_OPERATOR = "TreeEnsembleRegressor"
# What may stand beside the trees and changes no score.
_IDLE = {"Cast", "Identity", "Reshape", "Squeeze", "Flatten"}
# Whether the branch of what is true is the left one, and whether a row that equals the value
# goes left.
_MODES = {
    b"BRANCH_LEQ": (True, True),
    b"BRANCH_LT": (True, False),
    b"BRANCH_GT": (False, True),
    b"BRANCH_GTE": (False, False),
}
_LEAF = b"LEAF"


def read_onnx(content: bytes, path: Path) -> Forest:
    """The forest of a model whose one computing operator is a regressor of trees.

    ONNX Runtime compares and sums in float32; scikit-learn itself compares float32 features with
    float64 thresholds, which skl2onnx rounds, and sums in float64. NaN makes no comparison
    true, unless ``nodes_missing_value_tracks_true`` says so.

    Raises:
        ValueError: if the bytes are no such model.
    """
    # Other formats need no ONNX.
    import onnx

    try:
        model = onnx.load_model_from_string(content)
        operators = [each for each in model.graph.node if each.op_type not in _IDLE]
        given = {
            _text(each.name): onnx.helper.get_attribute_value(each)
            for operator in operators
            for each in operator.attribute
        }
    # Protobuf's DecodeError, of a package that is ONNX's own business, and others of ONNX.
    except Exception as error:
        raise ValueError(f"{path} is cut short or no ONNX: {error}") from None
    kinds = [_text(each.op_type) for each in operators]
    if kinds != [_OPERATOR]:
        raise ValueError(
            f"{path} computes {', '.join(kinds)[:80] or 'nothing'}, expected one {_OPERATOR}: "
            "export the regressor alone, without scalers or classifiers"
        )
    _check_whole(given, path)
    return _forest(given, _width(model), path)


def _text(name: str | bytes) -> str:
    """A name, which protobuf gives as bytes where it is no UTF-8."""
    return name if isinstance(name, str) else name.decode("latin-1")


def _width(model: Any) -> int | None:
    """The number of features of the graph's input, if it tells."""
    shapes = [each.type.tensor_type.shape for each in model.graph.input[:1]]
    sizes = [each.dim_value for shape in shapes for each in shape.dim]
    return sizes[1] if len(sizes) == 2 and sizes[1] > 0 else None


def _check_whole(given: dict[str, Any], path: Path) -> None:
    expected = {"n_targets": 1, "post_transform": b"NONE"}
    for key, value in expected.items():
        if given.get(key, value) != value:
            raise ValueError(f"{path}: '{key}' is {shown(given[key])}, expected {value}")
    aggregate = given.get("aggregate_function", b"SUM")
    if aggregate not in (b"SUM", b"AVERAGE"):
        raise ValueError(
            f"{path}: 'aggregate_function' is {shown(aggregate)}, expected SUM or AVERAGE"
        )
    doubles = sorted(key for key in given if key.endswith("_as_tensor"))
    if doubles:
        raise ValueError(
            f"{path}: '{doubles[0]}' is not supported; export with float32 inputs (FloatTensorType)"
        )


def _forest(given: dict[str, Any], width: int | None, path: Path) -> Forest:
    tree_ids = integers(given, "nodes_treeids", None, path)
    size = len(tree_ids)
    columns = {
        key: integers(given, f"nodes_{key}", size, path)
        for key in ("nodeids", "featureids", "truenodeids", "falsenodeids")
    }
    tracks = given.get("nodes_missing_value_tracks_true") or [0] * size
    columns["tracks"] = integers({"tracks": tracks}, "tracks", size, path)
    columns["values"] = array(given, "nodes_values", size, path)
    modes = given.get("nodes_modes")
    if not isinstance(modes, list) or len(modes) != size:
        raise ValueError(f"{path}: 'nodes_modes' is {shown(modes)}, expected {size} texts")
    unknown = [mode for mode in modes if mode not in (*_MODES, _LEAF)]
    if unknown:
        raise ValueError(
            f"{path}: a split is {shown(unknown[0])}, expected <=, <, >= or >: "
            "equality splits on categories are not supported"
        )
    columns["modes"] = np.array(modes)
    kept = columns["featureids"][columns["modes"] != _LEAF]
    n_features = width or int(kept.max(initial=-1)) + 1
    base = array(given, "base_values", 1, path)[0] if given.get("base_values") else 0.0
    ids, place = np.unique(tree_ids, return_inverse=True)
    targets = _Targets(given, path)
    scale = 1 / len(ids) if given.get("aggregate_function") == b"AVERAGE" else 1.0
    trees = []
    for number, tree_id in enumerate(ids.tolist()):
        where = f"{path}, tree {number}"
        own = {key: column[place == number] for key, column in columns.items()}
        trees.append(_tree(own, targets.of(tree_id), scale, where, n_features))
    return forest_of(trees, float(base), n_features, (), path)


class _Targets:
    """What the leaves of each tree add to the score."""

    def __init__(self, given: dict[str, Any], path: Path) -> None:
        self._trees = integers(given, "target_treeids", None, path)
        self._nodes = integers(given, "target_nodeids", len(self._trees), path)
        self._weights = array(given, "target_weights", len(self._trees), path)
        if integers(given, "target_ids", len(self._trees), path).any():
            raise ValueError(f"{path} scores several targets, expected 1: one score a document")

    def of(self, tree: int) -> tuple[np.ndarray, np.ndarray]:
        own = self._trees == tree
        return self._nodes[own], self._weights[own]


def _tree(
    own: dict[str, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    scale: float,
    where: str,
    n_features: int,
) -> Tree:
    order = np.argsort(own["nodeids"], kind="stable")
    known = own["nodeids"][order]
    if len(np.unique(known)) < len(known):
        raise ValueError(f"{where}: two nodes have the same number")
    leaf = own["modes"] == _LEAF

    def places(ids: np.ndarray) -> np.ndarray:
        """Where nodes of these numbers stand among the tree's; beyond its end where they do not."""
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, order[at], len(known))

    value = np.zeros(len(leaf) + 1)
    np.add.at(value, places(targets[0]), targets[1] * scale)
    ways = [_MODES.get(mode, (True, True)) for mode in own["modes"].tolist()]
    true_left, equal_left = np.array(ways).T
    if_true, if_false = places(own["truenodeids"]), places(own["falsenodeids"])
    # NaN goes the way of what is false, unless it is tracked.
    nan_left = (own["tracks"] > 0) == true_left
    return Nodes(
        np.where(leaf, -1, np.where(true_left, if_true, if_false)),
        np.where(leaf, -1, np.where(true_left, if_false, if_true)),
        own["featureids"],
        np.where(equal_left, own["values"], below(own["values"])),
        nan_goes(nan_left),
        value[:-1],
    ).tree(where, n_features)
