"""What the native library says of model files that it refuses."""

import ctypes
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_lightgbm_text import HEAD, model_text
from test_native_model_file import read_in_python, refusal
from tiny import random_student

from distilrank import scorer as binding
from distilrank.scorer import Scorer


def test_files_of_no_kind(tmp_path, native_library):
    contents = {
        b"": "the file is empty",
        b"tre": "the file is neither safetensors, as networks and forests are saved, nor a forest "
        "as LightGBM text: it starts with 'tre'",
        b"\x89PNG\r\n\x1a\n" + bytes(100): "it starts with '?PNG?????'",
        b"{" + bytes(20): "the file is neither",
        b"<forest>" * 5: "the file is neither",
    }
    for content, sentence in contents.items():
        (tmp_path / "model").write_bytes(content)
        assert sentence in refusal(tmp_path / "model", native_library)


def test_what_is_no_file(tmp_path, native_library):
    assert refusal(tmp_path, native_library) == "this is a folder, expected a model's file"
    none = tmp_path / "none"
    assert refusal(none, native_library) == "the file cannot be opened: No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe", native_library) == "this is no regular file"
    with pytest.raises(ValueError, match="is no file's name"):
        Scorer("model\0.txt", library=native_library)
    with pytest.raises(ValueError, match="File name too long"):
        Scorer("x" * 3000, library=native_library)


def test_options_are_checked_as_for_arrays(tmp_path, native_library):
    path = tmp_path / "model.txt"
    path.write_text(model_text())
    with pytest.raises(ValueError, match="level is 'fast', expected one of best"):
        Scorer(path, "fast", library=native_library)
    with pytest.raises(ValueError, match="precision is 'fp64', expected one of fp32"):
        Scorer(path, precision="fp64", library=native_library)


def test_the_c_functions_take_null(native_library):
    native, error = binding._native(native_library), ctypes.create_string_buffer(100)
    assert native.distilrank_scorer_open(None, None, error, len(error)) is None
    assert error.value == b"no model was given: the pointer is NULL"
    assert native.distilrank_scorer_read(None, 5, None, error, 100) is None
    assert error.value == b"no model was given: the pointer is NULL"
    assert native.distilrank_scorer_read(b"tree", 0, None, error, 10) is None
    assert error.value == b"the file "
    assert native.distilrank_scorer_features(None) == -1


class TensorFile:
    """A saved model, its header and numbers open to change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        self.header = json.loads(content[8 : 8 + size])
        self.data = bytearray(content[8 + size :])

    def numbers(self, name: str) -> np.ndarray:
        begin, end = self.header[name]["data_offsets"]
        dtype = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "U8": "<u1"}[self.header[name]["dtype"]]
        return np.frombuffer(memoryview(self.data)[begin:end], dtype)

    def refusal(self, library, text: str | None = None, length: int | None = None) -> str:
        header = (json.dumps(self.header) if text is None else text).encode()
        size = len(header) if length is None else length
        self.path.write_bytes(struct.pack("<Q", size) + header + self.data)
        return refusal(self.path, library)


@pytest.fixture
def file(tmp_path) -> TensorFile:
    """A network of layers 3-2-1 that fills in missing values."""
    student = random_student(np.random.default_rng(0), (3, 2, 1))
    path = tmp_path / "model.safetensors"
    replace(student, fill=student.mean.astype(np.float32)).save(path)
    return TensorFile(path)


def set_metadata(key, value):
    return lambda header: header["__metadata__"].update({key: value})


def set_tensor(name, **changes):
    return lambda header: header[name].update(changes)


def drop(*keys):
    def change(header):
        for key in keys[:-1]:
            header = header[key]
        del header[keys[-1]]

    return change


def rename(old, new):
    return lambda header: header.update({new: header.pop(old)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (set_metadata("format", "distilrank-student-3"),
         "has format 'distilrank-student-3', made by a newer distilrank; this one reads 1 and 2"),
        (set_metadata("format", "distilrank-student-1"),
         "has format 'distilrank-student-1', expected distilrank-student-2 with a tensor 'fill'"),
        (set_metadata("format", "distilrank-student-"), "expected distilrank-student-2"),
        (set_metadata("format", "distilrank-student-02"), "expected distilrank-student-2"),
        (set_metadata("format", "pt"), "no model of distilrank: its format is 'pt'"),
        (drop("__metadata__", "format"), "its format is not said"),
        (drop("__metadata__"), "its format is not said"),
        (set_metadata("activation", "relu"), "activation is 'relu', expected 'relu6'"),
        (drop("__metadata__", "activation"), "activation is not said, expected 'relu6'"),
        (set_metadata("architecture", "3-3-1"),
         "the metadata says architecture '3-3-1', the tensors make '3-2-1'"),
        (set_metadata("meta", 3), "found '3', expected a string"),
        (drop("mean"), "starts at byte"),
        (rename("mean", "mien"), "tensor 'mean' is missing"),
        (rename("bias1", "bias2"), "tensor 'bias1' is missing"),
        (rename("weight1", "weight7"), "the last layer has 2 outputs, expected 1"),
        (rename("weight0", "weight00"), "tensor 'weight0' is missing"),
        (set_tensor("weight0", shape=[3, 2]), "has shape [3, 2], expected [any, 3]"),
        (set_tensor("weight0", shape=[6]), "has shape [6], expected [any, 3]"),
        (set_tensor("bias0", shape=[1, 2]), "'bias0' has shape [1, 2], expected [2]"),
        (set_tensor("mean", shape=[1, 3]), "'mean' has shape [1, 3], expected [any]"),
        (set_tensor("mean", shape=[6], dtype="F32"), "'mean' is of type F32, expected F64"),
        (set_tensor("weight0", shape=[3], dtype="F64"), "'weight0' is of type F64, expected F32"),
        (set_tensor("weight0", dtype="BF16"), "is of type 'BF16', expected F32, F64, I32 or U8"),
        (set_tensor("weight0", shape=[2, 4]), "24 bytes, which is not what F32 of shape [2, 4]"),
        (set_tensor("weight0", shape=[2**31, 2**31, 2**31]), "24 bytes, which is not what F32"),
        (set_tensor("weight0", shape=[0, 2**31, 2**31]), "24 bytes, which is not what F32"),
        (set_tensor("weight0", shape=[10**18]), "a whole number of at most 18 digits"),
        (set_tensor("weight0", shape=[2, -3]), "found '-', expected a whole number"),
        (set_tensor("weight0", shape=[2, 3.0]), "found '.', expected ',' or ']'"),
        (set_tensor("weight0", shape=6), "found '6', expected '['"),
        (set_tensor("weight0", data_offsets=[0, 24, 48]), "has 3 data_offsets, expected 2"),
        (set_tensor("weight0", data_offsets=[24, 0]), "lies from byte 24 to 0 of"),
        (set_tensor("weight0", data_offsets=[0, 10**17]), "lies from byte 0 to 100000000000000000"),
        (set_tensor("weight0", data_offsets=[8, 32]), "tensors overlap or leave a gap"),
        (set_tensor("weight0", more=1), "'weight0' has 'more' in the header"),
        (drop("weight0", "shape"), "'weight0' lacks its dtype, shape or data_offsets"),
    ],
)  # fmt: skip
def test_wrong_headers(file, native_library, change, sentence):
    assert not file.refusal(native_library)
    change(file.header)
    assert sentence in file.refusal(native_library)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["weight0", "bias1", "mean", "fill"])
def test_numbers_that_are_none(file, native_library, name, value):
    file.numbers(name)[-1] = value
    place = len(file.numbers(name)) - 1
    sentence = f"tensor '{name}' is NaN or infinite at place {place}"
    assert file.refusal(native_library) == sentence


@pytest.mark.parametrize("value", [0, -1])
def test_scales_that_are_none(file, native_library, value):
    file.numbers("scale")[1] = value
    assert file.refusal(native_library) == "tensor 'scale' is not above 0 at place 1"


def test_tensors_too_many(file, native_library):
    """They would be weights of a network that this one is not."""
    for name in ("weight2", "bias2", "weight01", "other"):
        end = len(file.data)
        file.header[name] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
        said = file.refusal(native_library)
        assert f"tensor '{name}'" in said
        del file.header[name]
    assert not file.refusal(native_library)


def test_bytes_too_many(file, native_library):
    file.data += b"\0"
    assert "bytes after its header, expected" in file.refusal(native_library)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "the safetensors header, byte 1: found its end, expected a string"),
        ("{}x", "byte 2: found 'x', expected nothing more"),
        ("{} \n\t ", "its format is not said"),
        ('{"a" 1}', "byte 5: found '1', expected ':'"),
        ('{"a": [', "byte 6: found '[', expected '{'"),
        ('{"a": ' + "[" * 100_000, "byte 6: found '[', expected '{'"),
        ('{"a": ' * 50_000, "tensor 'a' has 'a' in the header"),
        ('{"__metadata__": ' + '{"a": ' * 50_000, "byte 23: found '{', expected a string"),
        ('{"__metadata__": {}, "__metadata__": {}}', "the header has __metadata__ twice"),
        ('{"__metadata__": {"a": "1", "a": "2"}}', "the header's metadata has 'a' twice"),
        ('{"a": {"shape": [], "shape": []}}', "tensor 'a' is described twice over in the header"),
        ('{"__metadata__": {"a": "1",}}', "found '}', expected a string"),
        ('{"__metadata__": {"a": "1" "b": "2"}}', "expected ',' or '}'"),
        (r'{"\ud800": 1}', "expected both halves of a surrogate pair"),
        (r'{"\ud800\u0041": 1}', "expected the second half of a surrogate pair"),
        (r'{"\udc00": 1}', "expected both halves of a surrogate pair"),
        (r'{"\x": 1}', "found 'x', expected an escape"),
        (r'{"\u12', "found its end, expected four hexadecimal digits"),
        (r'{"\u12g4": 1}', "found 'g', expected four hexadecimal digits"),
        ('{"a\n": 1}', "expected no control character within a string"),
        ('{"a', "expected the string's closing quotation mark"),
        ('{"a": {"shape": [01]}}', "found '1', expected a whole number of at most 18 digits"),
    ],
)
def test_headers_that_are_no_json(file, native_library, text, sentence):
    file.data = bytearray()
    assert sentence in file.refusal(native_library, text)


def test_a_tensor_twice(file, native_library):
    place = '{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}'
    file.data = bytearray()
    text = f'{{"a": {place}, "\\u0061": {place}}}'
    assert "the header has tensor 'a' twice" in file.refusal(native_library, text)


@pytest.mark.parametrize(
    "wrong",
    [b"\x80", b"\xc0\x80", b"\xc3", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff"],
)
def test_strings_are_utf_8(tmp_path, native_library, wrong):
    path = tmp_path / "model"

    def said(content: bytes) -> str:
        header = b'{"__metadata__": {"ab": "' + content + b'"}}'
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        return refusal(path, native_library)

    assert said(b"x" + wrong) == "the safetensors header, byte 26: this is no UTF-8"
    assert "its format is not said" in said("xé€𝄞\ud7ff\ue000".encode())


@pytest.mark.parametrize(
    ("length", "sentence"),
    [
        (10_000, "the file is cut short: it announces a header of 10000 bytes, and has "),
        (2**64 - 1, "a header of 18446744073709551615 bytes, expected at most 100000000"),
        (2**63, "bytes, expected at most 100000000"),
        (100_000_001, "a header of 100000001 bytes, expected at most 100000000"),
        (0, "byte 0: found its end, expected '{'"),
        (1, "byte 1: found its end, expected a string"),
    ],
)
def test_header_lengths(file, native_library, length, sentence):
    assert sentence in file.refusal(native_library, length=length)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_leaves": None}, "tree 0: num_leaves is missing"),
        ({"num_leaves": "0"}, "tree 0: num_leaves is 0, expected at least 1"),
        ({"num_leaves": "2147483647"}, "tree 0: leaf_value has 3 values, expected 2147483647"),
        ({"num_leaves": "2147483648"}, "tree 0: num_leaves holds '2147483648', expected whole"),
        ({"num_leaves": "3 3"}, "tree 0: num_leaves has 2 values, expected 1"),
        ({"leaf_value": "1 2 x"}, "tree 0: leaf_value holds something that is no number: 'x'"),
        ({"leaf_value": "1 2 0x1"}, "no number: '0x1'"),
        ({"leaf_value": "1 2 inf"}, "tree 0, leaf 2 has a value that is not finite"),
        ({"threshold": "0.5 nan"}, "tree 0, node 1 has a threshold that is NaN"),
        ({"threshold": "0.5"}, "tree 0: threshold has 1 values, expected 2"),
        ({"split_feature": "0 5"}, "tree 0, node 1 looks at feature 5, expected 0 to 4"),
        ({"split_feature": "0 -1"}, "tree 0, node 1 looks at feature -1, expected 0 to 4"),
        ({"split_feature": "0 3.5"}, "tree 0: split_feature holds '3.5', expected whole numbers"),
        ({"decision_type": "0 nan"}, "tree 0: decision_type holds 'nan', expected whole numbers"),
        ({"decision_type": "0 1"}, "tree 0: categorical splits are not supported"),
        ({"decision_type": "0 12"}, "tree 0: decision_type 12 has an unknown kind of missing"),
        ({"decision_type": "-2 0"}, "tree 0: decision_type -2 has an unknown kind of missing"),
        ({"is_linear": "1"}, "tree 0: linear leaves are not supported"),
        ({"left_child": "1 -2"}, "tree 0, node 1 has a child that another node has"),
        ({"left_child": "1 7"}, "tree 0, node 1 has a child that the tree lacks: 7"),
        ({"left_child": "0 -1"}, "tree 0, node 0 has a child that does not stand after it: 0"),
        ({"end": ""}, "the file is cut short: 'end of trees' is missing"),
        ({"head": HEAD + "average_output\n"}, "the forest averages its trees"),
        ({"head": HEAD.replace("iteration=1", "iteration=3")}, "the forest scores '3' classes"),
        ({"head": HEAD.replace("idx=4", "idx=x")}, "no whole number max_feature_idx but 'x'"),
        ({"head": HEAD.replace("idx=4", "idx=0000000004")}, "no whole number max_feature_idx"),
        ({"head": HEAD.replace("idx=4", "idx=999999999")},
         "the header announces 1000000000 features, expected no more than the file's"),
        ({"head": "tree"}, "the file is no LightGBM model text: it has no header after 'tree'"),
    ],
)  # fmt: skip
def test_wrong_forests(tmp_path, native_library, change, sentence):
    path = tmp_path / "model.txt"
    path.write_text(model_text(**change))
    assert read_in_python(path) is None or "features, expected" in sentence
    assert sentence in refusal(path, native_library)


def test_forests_without_a_tree(tmp_path, native_library):
    path = tmp_path / "model.txt"
    path.write_text(HEAD + "\nend of trees\n")
    assert refusal(path, native_library) == "the file holds no tree"
    path.write_text(HEAD + "\nTree=\nend of trees\n")
    assert refusal(path, native_library) == "tree 0: num_leaves is missing"
