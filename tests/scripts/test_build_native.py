"""Building the native library where something is missing."""

import pytest

from scripts.build_native import build_native


def test_a_missing_compiler_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(distilrank LANGUAGES CXX)\n"
    )
    with pytest.raises(ValueError) as raised:
        build_native(sources, tmp_path / "library.so")
    assert str(raised.value) == (
        "no C++ compiler was found: install one (Debian: 'apt-get install g++'; conda: "
        "'cxx-compiler'), or name it in the variable CXX, and run again"
    )
    assert not (tmp_path / "library.so").exists()


def test_sources_that_do_not_compile_say_so_and_not_that_a_compiler_is_missing(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(distilrank LANGUAGES NONE)\n"
        'message(FATAL_ERROR "something else")\n'
    )
    with pytest.raises(ValueError, match=r"could not be built\. CMake said: (.|\n)*something else"):
        build_native(tmp_path, tmp_path / "library.so")
