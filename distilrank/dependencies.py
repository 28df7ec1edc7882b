"""Which library files a script rests on, so that an edit reruns what it changes and no more."""

import hashlib
import re
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
# An import of this package. Every job of a run reads a hundred modules for these: a parser of
# Python would take a second for that.
_NAME = rf"{_PACKAGE.name}[.\w]*"
_IMPORT = re.compile(
    rf"^[ \t]*(?:from ({_NAME}) import (\([^)]*\)|[^\n]*)|import ({_NAME}))", flags=re.MULTILINE
)
# What a job says is no part of what it computes.
_IGNORED = {"distilrank.job", "distilrank.progress"}


def library_files(script: Path) -> list[str]:
    """The files of this package that ``script`` imports, directly or through others.

    Imports inside functions count. Importing a folder of plug-ins, such as the engines, counts
    as importing all of it, since a registry loads its modules by name.
    """
    found: set[Path] = set()
    pending = [script]
    while pending:
        for path in _imports(pending.pop()):
            if path not in found:
                found.add(path)
                pending.append(path)
    return sorted(str(path) for path in found)


@cache
def library_digest(script: Path) -> str:
    """A digest of the names and contents of `library_files`: 16 hexadecimal digits.

    Where the files lie is no part of it, nor when they were written: a copy of the project, or a
    branch that was left and taken up again, computes the same.
    """
    digest = hashlib.sha256()
    for file in map(Path, library_files(script)):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(_PACKAGE).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16]


def native_files(*parts: str) -> list[str]:
    """The sources of the native library, ``CMakeLists.txt`` first.

    With ``parts`` only files whose names begin with one of them, beside those that all share.
    """
    folder = _PACKAGE / "native"
    found = [path for pattern in ("*.h", "*.hpp", "*.cpp") for path in folder.glob(pattern)]
    shared = [folder / name for name in ("CMakeLists.txt", "distilrank.h", "exports.map")]
    own = [
        path for path in found if path not in shared and not path.stem.startswith(("fuzz", "check"))
    ]
    return [
        *map(str, shared),
        *sorted(str(path) for path in own if path.name.startswith(parts or "")),
    ]


def shipped_files() -> dict[str, str]:
    """What an exported model's folder has beside the model: its place there, and the source.

    The Python modules are those that `Scorer` rests on; they need NumPy alone.
    """
    modules = ("__init__", "files", "forest", "letor", "native", "scorer")
    package = {f"distilrank/{name}.py": _PACKAGE / f"{name}.py" for name in modules}
    header = {"distilrank/distilrank.h": _PACKAGE / "native" / "distilrank.h"}
    beside = {name: _PACKAGE.parent / "examples" / name for name in ("score.c", "score.py")}
    licence = {"LICENSE": _PACKAGE.parent / "LICENSE"}
    found = package | header | beside | licence
    return {place: str(source) for place, source in found.items()}


@cache
def _imports(path: Path) -> frozenset[Path]:
    names: set[str] = set()
    for module, parts, plain in _IMPORT.findall(path.read_text(encoding="utf-8")):
        names.update([module or plain, *(f"{module}.{part}" for part in re.findall(r"\w+", parts))])
    return frozenset(file for name in names - _IGNORED for file in _files(name))


def _files(name: str) -> list[Path]:
    package, *parts = name.split(".")
    if package != _PACKAGE.name or not parts:
        return []
    module = _PACKAGE.joinpath(*parts)
    # `native` is a module with a folder of C++ beside it.
    if (module / "__init__.py").exists():
        return list(module.glob("*.py"))
    # A module inside a folder of plug-ins brings its siblings with it.
    if module.with_suffix(".py").exists():
        return list(module.parent.glob("*.py")) if len(parts) > 1 else [module.with_suffix(".py")]
    return []
