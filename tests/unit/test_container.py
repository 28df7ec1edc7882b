"""The container recipe is what Snakemake makes of the environments as they are now."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIX = "with conda on the PATH run '.venv/bin/snakemake --containerize > Dockerfile'"
# Of conda Snakemake only asks what it is: the recipe does not depend on it.
CONDA = """#!/bin/sh
case "$1" in
  --version) echo "conda 24.7.1" ;;
  info) echo '{"conda_prefix": "/none", "root_prefix": "/none", "platform": "linux-64"}' ;;
  config) echo '{"get": {"channel_priority": "strict"}}' ;;
  *) echo "conda $1 is not needed for a recipe" >&2; exit 1 ;;
esac
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``snakemake --containerize`` prints."""
    folder = tmp_path_factory.mktemp("conda")
    (folder / "conda").write_text(CONDA)
    (folder / "conda").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--containerize"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_recipe_is_current(recipe):
    assert (ROOT / "Dockerfile").read_text(encoding="utf-8") == recipe, FIX


def test_the_recipe_has_every_environment(recipe):
    envs = sorted(path.name for path in (ROOT / "envs").glob("*.yaml"))
    assert len(envs) == 6
    assert all(f"COPY envs/{name} /conda-envs/" in recipe for name in envs)
