"""Have a data set's archive, downloaded or a person's own, checked by sha256."""

from distilrank.job import job

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilrank.download import download, fault, package_url
from distilrank.files import replacing


def fetch_dataset(
    dataset: dict[str, Any], name: str, output: str | Path, raw: str | Path, cached: bool = False
) -> None:
    """Download what the catalogue's entry names, or check the person's own copy.

    Args:
        dataset: the entry; its ``archive.path`` is a copy of the person's own, never changed.
        name: the entry's key.
        output: becomes a link to the archive: the sign that it has been checked.
        raw: where a downloaded archive lies, and where one may be put by hand.
        cached: make ``output`` a file of its own, which Snakemake may move into its cache: a
            hard link where ``raw``'s file system has them, else a copy.

    Raises:
        ValueError: if no source serves a file with the expected sha256, or the copy is wrong.
    """
    output = Path(output)
    if path := dataset.get("archive", {}).get("path"):
        archive = Path(path).expanduser().absolute()
        _check_own(dataset["archive"], archive, name)
    else:
        archive = Path(raw)
        _download(dataset, name, archive)
        if cached:
            with replacing(output) as temporary:
                _link_or_copy(archive, temporary)
            return
        # Relative, so that the results folder can be moved.
        archive = Path(os.path.relpath(archive.absolute(), output.absolute().parent))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    output.symlink_to(archive)


def _link_or_copy(archive: Path, output: Path) -> None:
    try:
        os.link(archive, output)
    except OSError:
        shutil.copyfile(archive, output)


def _check_own(entry: dict[str, Any], archive: Path, name: str) -> None:
    if not archive.is_file():
        raise ValueError(
            f"{archive} is not there, which datasets.{name}.archive.path of the config names"
        )
    if "sha256" not in entry:
        logging.warning("%s: no sha256 is known, so it is not checked", archive)
    if wrong := fault(archive, entry.get("sha256"), entry.get("bytes")):
        raise ValueError(
            f"{archive}: {wrong}. It is left as it is; put the right file there, or take "
            f"datasets.{name}.archive.path out of the config to have it downloaded"
        )


def _download(dataset: dict[str, Any], name: str, archive: Path) -> None:
    if terms := dataset.get("terms"):
        print(f"{dataset['title']}: {terms}", flush=True)
    if "package" in dataset:
        entry = dataset["package"]
        copies = f"datasets.{name}.folder (the extracted files)"
    else:
        entry = dataset["archive"]
        copies = f"datasets.{name}.archive.path (the archive) or .folder (the extracted files)"
    logging.info("fetching %s", archive.name)
    try:
        download(_sources(dataset), entry["sha256"], archive, entry.get("bytes"))
    except ValueError as error:
        page = dataset.get("page")
        raise ValueError(
            f"{error}. Or name a copy of your own in the config: {copies}."
            + (f" Its web page: {page}" if page else "")
        ) from error


def _sources(dataset: dict[str, Any]) -> Iterator[str]:
    """The addresses in order; the package index is asked only when it is its turn."""
    if "package" in dataset:
        yield package_url(dataset["package"]["name"], dataset["package"]["version"])
    else:
        yield from dataset["archive"]["sources"]


if __name__ == "__main__":
    with job(snakemake.log[0]):
        fetch_dataset(
            snakemake.params.dataset,
            snakemake.wildcards.dataset,
            snakemake.output[0],
            # Beside the outputs: under `module:` these have a prefix.
            Path(snakemake.output[0]).parents[2]
            / "raw"
            / snakemake.wildcards.dataset
            / snakemake.wildcards.archive,
            cached="SNAKEMAKE_OUTPUT_CACHE" in os.environ,
        )
