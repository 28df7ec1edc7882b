"""What several tests of the workflow share: the small configuration, run to its report once."""

from pathlib import Path

import pytest
from test_workflow import SMALL, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small configuration has run to its report."""
    folder = tmp_path_factory.mktemp("run")
    done = snakemake(folder, "--configfile", str(SMALL))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return folder
