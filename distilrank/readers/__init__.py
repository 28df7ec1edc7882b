"""Readers of other libraries' forests, one module a format; each returns a `forest.Forest`.

A reader takes a file apart and computes nothing but arrays from it: nothing in a file is ever run.
"""

import os
from pathlib import Path

from distilrank.forest import Forest
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.readers.catboost_json import read_catboost
from distilrank.readers.ensemble_xml import read_ensemble_xml
from distilrank.readers.fields import FORMATS, check_version, load_json
from distilrank.readers.lightgbm_json import read_lightgbm_json
from distilrank.readers.onnx_trees import read_onnx
from distilrank.readers.ubjson import load_ubjson
from distilrank.readers.xgboost_json import read_xgboost

__all__ = ["read_forest", "read_with_format"]

LARGEST_FILE = 1 << 31
# By a key that the others do not have.
_JSON = {
    "tree_info": ("LightGBM JSON", read_lightgbm_json),
    "learner": ("XGBoost JSON", read_xgboost),
    "features_info": ("CatBoost JSON", read_catboost),
}
# What starts a file that holds a forest in a form that is not read.
_OTHERS = {
    b"\x80": "is a pickle, which could run anything when opened",
    b"CBM1": "is CatBoost's own binary form; write it with save_model(path, format='json')",
    b"binf": "is XGBoost's old binary form; write it with save_model('model.json')",
    b"\x1f\x8b": "is compressed; decompress it first",
    b"PK": "is a zip archive; take the model out of it first",
}


def read_forest(path: str | os.PathLike) -> Forest:
    """Read the forest in ``path``, in any of the formats of docs/forests.md, told by its content.

    Raises:
        ValueError: one sentence with the file, what was found in it and what to do.
    """
    return read_with_format(path)[0]


def read_with_format(path: str | os.PathLike) -> tuple[Forest, str]:
    """`read_forest`, and the format's name."""
    path = Path(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"{path} has {size} bytes, and a forest's file up to {LARGEST_FILE}")
    content = path.read_bytes()
    for start, sentence in _OTHERS.items():
        if content.startswith(start):
            raise ValueError(f"{path} {sentence}; {FORMATS}")
    try:
        return _read(content, path)
    # Of whichever step follows the nesting: parsing it, or showing a part of it in a sentence.
    except RecursionError:
        raise ValueError(
            f"{path} is nested too deeply to be read: expected trees of a depth up to some hundred"
        ) from None


def _read(content: bytes, path: Path) -> tuple[Forest, str]:
    start = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if content[:5] in (b"tree\n", b"tree\r"):
        return _lightgbm_text(path, content), "LightGBM text"
    if start.startswith((b"<", b"##")):
        return read_ensemble_xml(content, path)
    # After an object's brace UBJSON has the length of a key.
    if content[:1] == b"{" and content[1:2] in (b"i", b"U", b"I", b"l", b"L"):
        return read_xgboost(load_ubjson(content, path), path), "XGBoost UBJSON"
    if start.startswith((b"{", b"[")):
        return _json(content, path)
    # An ONNX file's first field is its version, a protobuf number with the tag 8.
    if content.startswith(b"\x08"):
        return read_onnx(content, path), "ONNX"
    raise ValueError(f"{path} is no forest; {FORMATS}")


def _lightgbm_text(path: Path, content: bytes) -> Forest:
    _, found, rest = content[:1000].partition(b"\nversion=v")
    if found:
        version = rest.partition(b"\n")[0].strip().decode("latin-1")
        check_version(version, "LightGBM's text", (2, 4), path)
    return read_lightgbm_text(path)


def _json(content: bytes, path: Path) -> tuple[Forest, str]:
    model = load_json(content, path)
    if isinstance(model, list) and model and isinstance(model[0], dict) and "nodeid" in model[0]:
        raise ValueError(
            f"{path} is XGBoost's dump, which leaves out the base score; write the model with "
            "save_model('model.json')"
        )
    for key, (name, read) in _JSON.items():
        if isinstance(model, dict) and key in model:
            return read(model, path), name
    raise ValueError(f"{path} is JSON and no forest; {FORMATS}")
