"""What several tests share: the import path, a tiny learnable data set, a local web server."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import lightgbm
import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Scripts and the package import from the repository's root, as in the workflow.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

ON_THE_SMALL_RUN = ("test_workflow", "test_own_forest", "test_data_workflow")

# How long an example takes is the machine's business: the suite must not fail on a busy one.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

import tiny  # noqa: E402 - found through the path set above
from served import Web, WebHandler, WebServer  # noqa: E402

from distilrank.letor import Dataset  # noqa: E402
from scripts.build_native import build_native  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long runs first, so that of `make test`'s two processes none ends with one alone."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


class Turns(LoadScopeScheduling):
    """What two processes take in turn: a file's tests, or all that look at the one small run."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "finished" if Path(file).stem in ON_THE_SMALL_RUN else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Turns:
    return Turns(config, log)


@pytest.fixture(scope="session")
def splits() -> dict[str, Dataset]:
    """Train, vali and test of one tiny learnable data set: 12 queries x 20 documents each."""
    return tiny.make_splits()


@pytest.fixture(scope="session")
def teacher_booster(splits: dict[str, Dataset]) -> lightgbm.Booster:
    """A small lambdarank forest trained on `splits`."""
    return tiny.train_booster(splits)


@pytest.fixture(scope="session")
def fold(
    tmp_path_factory: pytest.TempPathFactory,
    splits: dict[str, Dataset],
    teacher_booster: lightgbm.Booster,
) -> tiny.Fold:
    """`splits` and the teacher's files on disk, laid out as under ``results/``; read only."""
    return tiny.write_fold(tmp_path_factory.mktemp("results"), splits, teacher_booster)


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native library, built from this checkout's sources.

    ``NATIVE_OPTIONS`` of the environment holds more of CMake's options: docs/native.md.
    """
    return _built(tmp_path_factory, "native")


@pytest.fixture(scope="module")
def found_library(native_library: Path) -> Iterator[Path]:
    """The same, where `native.find_library` finds it: as in a folder where it has been built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilrank.native.find_library", lambda: native_library)
        yield native_library


@pytest.fixture(scope="session")
def tile_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with AMX's instructions computed in plain code."""
    return _built(tmp_path_factory, "tiles", "-DTILE_MODEL=ON")


def _built(factory: pytest.TempPathFactory, name: str, *options: str) -> Path:
    """Built once, by whichever of the suite's processes comes first."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / name / "libdistilrank.so"
    options = (*options, *os.environ.get("NATIVE_OPTIONS", "").split())
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            path.parent.mkdir()
            build_native(Path(__file__).parents[1] / "distilrank" / "native", path, *options)
    return path


@pytest.fixture
def web() -> Iterator[Web]:
    """A fresh `Web` on a free port of 127.0.0.1; an unknown path is a 404."""
    handler = type("Handler", (WebHandler,), {})
    with WebServer(("127.0.0.1", 0), handler) as server:
        handler.served = Web(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield handler.served
        server.shutdown()
