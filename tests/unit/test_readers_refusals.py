"""distilrank.readers: what is no forest, or none that can be carried exactly, gets a sentence."""

import json
import os

import foreign
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilrank import readers
from distilrank.readers import read_forest
from distilrank.readers.fields import FORMATS, Nodes, nan_goes

XGBOOST = json.loads((foreign.FOLDER / "xgboost.json").read_text())
CATBOOST = json.loads((foreign.FOLDER / "catboost.json").read_text())
NESTED = json.loads((foreign.FOLDER / "catboost-depthwise.json").read_text())
UBJSON = (foreign.FOLDER / "xgboost.ubj").read_bytes()
ONNX = (foreign.FOLDER / "sklearn-boosted.onnx").read_bytes()
SPLIT = {
    "split_feature": 0, "threshold": 0.5, "decision_type": "<=", "default_left": True,
    "missing_type": "None", "left_child": {"leaf_value": 1}, "right_child": {"leaf_value": 2},
}  # fmt: skip
LIGHTGBM = {
    "version": "v4", "num_tree_per_iteration": 1, "max_feature_idx": 2, "average_output": False,
    "feature_names": ["a", "b", "c"], "tree_info": [{"tree_structure": SPLIT}],
}  # fmt: skip


def sentence(tmp_path, content):
    """What is said of a file, without its name; of anything but bytes, of its JSON."""
    path = tmp_path / "model"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError) as raised:
        read_forest(path)
    assert str(raised.value).startswith(str(path))
    return str(raised.value).removeprefix(str(path))


def changed(model, where, value):
    """A copy of ``model`` with the value at the dotted path ``where``; None takes it away."""
    model = json.loads(json.dumps(model))
    *holders, last = [int(key) if key.isdecimal() else key for key in where.split(".")]
    holder = model
    for key in holders:
        holder = holder[key]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return model


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", f" is no forest; {FORMATS}"),
        (b"hello", f" is no forest; {FORMATS}"),
        (b"\x89PNG\r\n", f" is no forest; {FORMATS}"),
        (b"\x80\x04\x95", f" is a pickle, which could run anything when opened; {FORMATS}"),
        (b"PK\x03\x04", f" is a zip archive; take the model out of it first; {FORMATS}"),
        (b"\x1f\x8b\x08", f" is compressed; decompress it first; {FORMATS}"),
        (b"CBM1....", " is CatBoost's own binary form; write it with save_model(path, "
         f"format='json'); {FORMATS}"),
        (b"binf....", " is XGBoost's old binary form; write it with save_model('model.json'); "
         f"{FORMATS}"),
        ({"a": 1}, f" is JSON and no forest; {FORMATS}"),
        ([{"nodeid": 0, "leaf": 1}], " is XGBoost's dump, which leaves out the base score; write "
         "the model with save_model('model.json')"),
        (b"tree\nversion=v5\n", " is LightGBM's text of version 5, expected 2 to 4: write it with "
         "a release of that library that this one knows"),
        (b"tree\nversion=v4\n", " is cut short: 'end of trees' is missing"),
        (b'{"learner": {', " is cut short or no JSON: Expecting property name enclosed in double "
         "quotes: line 1 column 14 (char 13)"),
        (b"<ranker>", " is cut short or no XML of one ensemble: no element found: "
         "line 1, column 8"),
    ],
)  # fmt: skip
def test_what_holds_no_forest(tmp_path, content, told):
    assert sentence(tmp_path, content) == told


def test_a_giant_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.touch()
    os.truncate(path, readers.LARGEST_FILE + 1)  # a hole, no bytes on the disk
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(ValueError) as raised:
        read_forest(path)
    assert str(raised.value) == (f"{path} has {2**31 + 1} bytes, and a forest's file up to {2**31}")


PARAM, TREE = "learner.learner_model_param", "learner.gradient_booster.model.trees.1"
XGBOOST_CASES = [
    ("version", [4, 0, 0], " is XGBoost's model of version 4.0.0, expected 1 to 3: write it with "
     "a release of that library that this one knows"),
    ("version", None, ": 'version' is missing, expected a list"),
    ("learner.gradient_booster.name", "gblinear", " is a booster of the kind 'gblinear', expected "
     "gbtree or dart: gblinear has no trees"),
    (f"{PARAM}.num_class", "3", " scores 3 classes, expected 1: one score a document"),
    (f"{PARAM}.num_target", "2", " scores 2 targets, expected 1: one score a document"),
    (f"{PARAM}.num_feature", "many", ": 'num_feature' is 'many', expected a number"),
    (f"{PARAM}.num_feature", "1e30", ": 'num_feature' is '1e30', expected a whole number from 0"),
    (f"{PARAM}.base_score", "[1E0,2E0]", ": 'base_score' is '1E0,2E0', expected a number"),
    (f"{PARAM}.base_score", "nan", ": 'base_score' is 'nan', expected a number"),
    (f"{TREE}.split_type", [1] + [0] * 14, ", tree 1: categorical splits are not supported; train "
     "with enable_categorical=False"),
    (f"{TREE}.tree_param.size_leaf_vector", "2", ", tree 1: its leaves hold vectors; train with "
     "one_output_per_tree"),
    (f"{TREE}.split_conditions.0", float("nan"), ", tree 1: a threshold or leaf value is not a "
     "number"),
    (f"{TREE}.split_conditions.14", 1e300, ", tree 1: a threshold or leaf value is not a number"),
    (f"{TREE}.split_conditions.0", "0.5", ", tree 1: 'split_conditions' holds '0.5', expected "
     "numbers"),
    (f"{TREE}.split_conditions.0", 10**400, ", tree 1: 'split_conditions' holds a number beyond "
     "float64"),
    (f"{TREE}.split_indices.0", 5, ", tree 1: a split uses a feature outside 0..4"),
    (f"{TREE}.split_indices.0", 0.5, ", tree 1: 'split_indices' holds 0.5, expected whole numbers"),
    (f"{TREE}.left_children.0", 0, ", tree 1: its children do not form one tree: one has two "
     "parents"),
    (f"{TREE}.left_children.0", 2, ", tree 1: its children do not form one tree: one has two "
     "parents"),
    (f"{TREE}.left_children.0", 99, ", tree 1: a child is node 99, expected one of the 15 nodes"),
    (f"{TREE}.right_children.0", -5, ", tree 1: a child is node -5, expected one of the 15 nodes"),
    (f"{TREE}.right_children", [1, 2], ", tree 1: 'right_children' has 2 values, expected 15"),
    (f"{TREE}.tree_param.num_nodes", "1000000000000", ", tree 1: 'num_nodes' is '1000000000000', "
     "expected a whole number from 0"),
    ("learner.gradient_booster.model.trees", [], " holds no tree"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "told"), XGBOOST_CASES)
def test_xgboost(tmp_path, where, value, told):
    nodes = len(XGBOOST["learner"]["gradient_booster"]["model"]["trees"][1]["left_children"])
    assert nodes == 15
    assert sentence(tmp_path, changed(XGBOOST, where, value)) == told


def test_an_objective_of_xgboost_whose_base_score_is_not_known(tmp_path):
    told = sentence(tmp_path, changed(XGBOOST, "learner.objective.name", "survival:aft"))
    assert told.startswith(
        " was trained with the objective 'survival:aft', whose base score is not carried; expected "
        "one of rank:ndcg, rank:pairwise, "
    )
    model = changed(XGBOOST, "learner.objective.name", "binary:logistic")
    told = " 'base_score' is 1.0, out of binary:logistic's range"
    assert sentence(tmp_path, changed(model, f"{PARAM}.base_score", "1")) == f":{told}"


CATBOOST_CASES = [
    (CATBOOST, "scale_and_bias.1", [1, 2], " scores 2 targets, expected 1: one score a document"),
    (CATBOOST, "scale_and_bias.0", float("nan"), ": 'scale' is nan, expected a number"),
    (CATBOOST, "features_info.float_features.1.nan_value_treatment", "Forbidden",
     ", float feature 1: 'nan_value_treatment' is 'Forbidden', expected one of AsIs, AsFalse, "
     "AsTrue"),
    (CATBOOST, "oblivious_trees.0.splits.0.split_type", "OnlineCtr", ", tree 0: a split of the "
     "type 'OnlineCtr' is not supported; train without categorical, text and embedding features"),
    (CATBOOST, "oblivious_trees.0.splits.0.float_feature_index", 9, ", tree 0: a split uses the "
     "float feature 9, expected one of the 5 in features_info"),
    (CATBOOST, "oblivious_trees.0.splits.0.border", float("nan"), ", tree 0: 'border' is nan, "
     "expected a number"),
    (CATBOOST, "oblivious_trees.0.leaf_values", [1.0] * 24, ", tree 0: 'leaf_values' has 24 "
     "values, expected 8"),
    (CATBOOST, "oblivious_trees.0.splits", [{}] * 60, ", tree 0 has 60 splits, expected up to 16"),
    (CATBOOST, "oblivious_trees", None, ": 'oblivious_trees' is missing, expected a list"),
    (CATBOOST, "oblivious_trees", [], " holds no tree"),
    (NESTED, "trees.0.left", {"value": [1, 2]}, ", tree 0: 'value' is [1, 2], expected a number"),
    (NESTED, "trees.0.left", None, ", tree 0: 'left' is missing, expected an object"),
    (LIGHTGBM, "version", "v5", " is LightGBM's JSON of version 5, expected 2 to 4: write it with "
     "a release of that library that this one knows"),
    (LIGHTGBM, "num_tree_per_iteration", 3, " scores 3 classes, expected 1: one score a document"),
    (LIGHTGBM, "average_output", True, ": the forest averages its trees; train with boosting=gbdt"),
    (LIGHTGBM, "tree_info.0.tree_structure.decision_type", "==", ", tree 0: categorical splits are "
     "not supported; train on numbers only"),
    (LIGHTGBM, "tree_info.0.tree_structure.left_child.leaf_const", 1, ", tree 0: linear leaves are "
     "not supported; train with linear_tree=false"),
    (LIGHTGBM, "tree_info.0.tree_structure.missing_type", "Odd", ", tree 0: a split has the "
     "decision_type '<=' and the missing_type 'Odd', expected <= and one of None, Zero, NaN"),
    (LIGHTGBM, "tree_info.0.tree_structure.threshold", float("nan"), ", tree 0: 'threshold' is "
     "nan, expected a number"),
    (LIGHTGBM, "tree_info.0.tree_structure.split_feature", 3, ", tree 0: a split uses a feature "
     "outside 0..2"),
    (LIGHTGBM, "tree_info.0.tree_structure.left_child", 1, ", tree 0: 'left_child' is 1, expected "
     "an object"),
    (LIGHTGBM, "max_feature_idx", True, ": 'max_feature_idx' is True, expected a number"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "where", "value", "told"), CATBOOST_CASES)
def test_catboost_and_lightgbm(tmp_path, model, where, value, told):
    assert sentence(tmp_path, changed(model, where, value)) == told


def places(value, at=()):
    """The dotted paths of all that a JSON value holds, of lists the first two."""
    if at:
        yield ".".join(at)
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value[:2]) if isinstance(value, list) else inner
    for key, each in inner:
        yield from places(each, (*at, str(key)))


JSONS = {"xgboost": XGBOOST, "catboost": CATBOOST, "nested": NESTED, "lightgbm": LIGHTGBM}


@pytest.mark.parametrize("name", JSONS)
def test_a_value_of_another_kind_is_read_or_refused_wherever_it_stands(tmp_path, name):
    path = tmp_path / "model"
    for place in places(JSONS[name]):
        for value in ([[1]], {"a": 1}, "text", 1e308, True):
            path.write_text(json.dumps(changed(JSONS[name], place, value)))
            try:
                read_forest(path)
            except ValueError as error:
                assert str(error).startswith(str(path)), place


NESTED_WITHOUT_END = (
    " is nested too deeply to be read: expected trees of a depth up to some hundred"
)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"tree_info": ' * 100_000,
        *(json.dumps(changed(JSONS[name], place, "@")).encode().replace(b'"@"', b"[" * 100_000)
          for name, place in (
              ("xgboost", "version"), ("xgboost", f"{TREE}.split_conditions.0"),
              ("catboost", "oblivious_trees.0.splits.0.border"), ("nested", "trees.0.left"),
              ("lightgbm", "tree_info.0.tree_structure.threshold"),
          )),
    ],
)  # fmt: skip
def test_json_that_is_nested_without_end(tmp_path, content):
    assert sentence(tmp_path, content) == NESTED_WITHOUT_END


def test_nesting_that_is_just_parsed_is_refused_where_it_is_looked_at(tmp_path, monkeypatch):
    """A reader stands deeper in the stack than the parser did."""

    def read(model, path):
        raise RecursionError

    monkeypatch.setitem(readers._JSON, "learner", ("XGBoost JSON", read))
    assert sentence(tmp_path, XGBOOST) == NESTED_WITHOUT_END


def changed_onnx(**attributes):
    """The committed model with other attributes; a call as value gets the old one."""
    model = onnx.load_model_from_string(ONNX)
    (node,) = model.graph.node
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    for key, value in attributes.items():
        given[key] = value(given[key]) if callable(value) else value
    made = onnx.helper.make_node(node.op_type, node.input, node.output, "", domain=node.domain)
    made.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in given.items())
    model.graph.node[0].CopyFrom(made)
    return model.SerializeToString()


ONNX_CASES = [
    ({"n_targets": 2}, ": 'n_targets' is 2, expected 1"),
    ({"post_transform": "SOFTMAX"}, ": 'post_transform' is b'SOFTMAX', expected b'NONE'"),
    ({"aggregate_function": "MAX"}, ": 'aggregate_function' is b'MAX', expected SUM or AVERAGE"),
    ({"nodes_modes": lambda old: [b"BRANCH_EQ", *old[1:]]}, ": a split is b'BRANCH_EQ', expected "
     "<=, <, >= or >: equality splits on categories are not supported"),
    ({"nodes_modes": lambda old: old[:2]}, ": 'nodes_modes' is [b'BRANCH_LEQ', b'BRANCH_LEQ'], "
     "expected {size} texts"),
    ({"nodes_values": lambda old: [float("nan"), *old[1:]]}, ", tree 0: a threshold or leaf value "
     "is not a number"),
    ({"nodes_truenodeids": lambda old: [77, *old[1:]]}, ", tree 0: a child is node {own}, expected "
     "one of the {own} nodes"),
    ({"nodes_truenodeids": lambda old: [0, *old[1:]]}, ", tree 0: its children do not form one "
     "tree: one has two parents"),
    ({"nodes_nodeids": lambda old: [1, *old[1:]]}, ", tree 0: two nodes have the same number"),
    ({"nodes_featureids": lambda old: [9, *old[1:]]}, ", tree 0: a split uses a feature outside "
     "0..4"),
    ({"target_ids": lambda old: [1, *old[1:]]}, " scores several targets, expected 1: one score a "
     "document"),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "told"), ONNX_CASES)
def test_onnx(tmp_path, attributes, told):
    (node,) = onnx.load_model_from_string(ONNX).graph.node
    ids = next(list(each.ints) for each in node.attribute if each.name == "nodes_treeids")
    counts = {"size": len(ids), "own": ids.count(0)}
    assert sentence(tmp_path, changed_onnx(**attributes)) == told.format(**counts)


def test_onnx_of_something_else(tmp_path):
    model = onnx.load_model_from_string(ONNX)
    model.graph.node[0].op_type = "TreeEnsembleClassifier"
    assert sentence(tmp_path, model.SerializeToString()) == (
        " computes TreeEnsembleClassifier, expected one TreeEnsembleRegressor: export the "
        "regressor alone, without scalers or classifiers"
    )
    assert sentence(tmp_path, ONNX[:1000]).startswith(" is cut short or no ONNX: ")


@pytest.mark.parametrize(
    ("mode", "goes_left"),
    [("LEQ", [1, 1, 0]), ("LT", [1, 0, 0]), ("GT", [0, 0, 1]), ("GTE", [0, 1, 1])],
)
@pytest.mark.parametrize("tracks", [0, 1])
def test_each_comparison_of_onnx(tmp_path, mode, goes_left, tracks):
    """The true branch has the leaf 1, the other 0: of below, equal, above and NaN."""
    whole = {
        "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0],
        "nodes_modes": [f"BRANCH_{mode}", "LEAF", "LEAF"], "nodes_values": [0.1, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "base_values": [0.0],
        "nodes_missing_value_tracks_true": [tracks, 0, 0], "nodes_hitrates": [1.0, 1.0, 1.0],
        "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0],
        "target_weights": [1.0, 0.0],
    }  # fmt: skip
    path = tmp_path / "model.onnx"
    path.write_bytes(changed_onnx(**whole))
    at = np.float32(0.1)
    rows = np.zeros((4, 5), np.float32)
    rows[:, 0] = [np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1)), np.nan]
    assert read_forest(path).predict(rows).tolist() == [*goes_left, tracks]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{L" + b"\x7f" * 8, " is cut short or no UBJSON: at byte 10 it announces "
         "9187201950435737471 more, and 0 are left"),
        (b"{L" + b"\xff" * 8, " is cut short or no UBJSON: at byte 10 it announces -1 more, and 0 "
         "are left"),
        (b"{i\x01a" + b"[" * 1000, " is nested deeper than 64, which no forest is"),
        (b"{i\x01a" * 100_000, " is nested deeper than 64, which no forest is"),
        (b"{i\x01a[$d#L" + b"\x0f" * 8, " is cut short or no UBJSON: at byte 17 it announces "
         "4340410370284600380 more, and 0 are left"),
        (b"{i\x01a[#L" + b"\x0f" * 8, " is cut short or no UBJSON: at byte 15 it announces 1 more, "
         "and 0 are left"),
        (b"{i\x01aQ", " is no UBJSON: byte 4 is the unknown b'Q'"),
        (UBJSON + b"}", " has 1 bytes after its end"),
    ],
)  # fmt: skip
def test_ubjson(tmp_path, content, told):
    assert sentence(tmp_path, content) == told


@pytest.mark.parametrize("name", ["xgboost.json", "xgboost.ubj", "catboost.json"])
def test_a_file_cut_anywhere_is_refused(tmp_path, name):
    content = (foreign.FOLDER / name).read_bytes().rstrip()
    for cut in np.linspace(1, len(content) - 1, 80).astype(int):
        assert sentence(tmp_path, content[:cut])


SOURCES = [file.read_bytes() for file in sorted(foreign.FOLDER.iterdir())
           if not file.name.endswith("expected.json")]  # fmt: skip


@pytest.mark.filterwarnings("error")
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_scores_or_is_refused(tmp_path, data):
    """Nothing but ValueError may escape, and whatever is read must score without a mishap."""
    content = bytearray(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "model"
    path.write_bytes(content)
    try:
        forest = read_forest(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    if forest.n_features <= 1000:
        rows = np.random.default_rng(0).normal(size=(10, forest.n_features))
        assert np.isfinite(forest.predict(rows)).all()


def test_nodes_that_are_not_reached_are_left_out():
    """XGBoost keeps the nodes that it pruned."""
    one = np.ones(4)
    nodes = Nodes(np.array([1, -1, -1, -1]), np.array([3, -1, -1, -1]), np.zeros(4, int), one,
                  nan_goes(one > 0), np.array([0, 5.0, 6, 7]))  # fmt: skip
    assert nodes.tree("here", 1).value.tolist() == [5, 7]
