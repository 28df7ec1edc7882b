"""Fetch a data set's archive, checked by sha256."""

import logging
from pathlib import Path
from typing import Any

from distilrank.download import download, package_url
from distilrank.logs import job


def fetch_dataset(dataset: dict[str, Any], output: str | Path) -> None:
    """Download what the catalogue entry ``dataset`` names to ``output``.

    Raises:
        ValueError: if no source serves a file with the expected sha256.
    """
    if terms := dataset.get("terms"):
        print(f"{dataset['title']}: {terms}")
    if "package" in dataset:
        package = dataset["package"]
        sources = [package_url(package["name"], package["version"])]
        sha256 = package["sha256"]
    else:
        sources, sha256 = dataset["archive"]["sources"], dataset["archive"]["sha256"]
    logging.info("fetching %s", Path(output).name)
    try:
        download(sources, sha256, output)
    except ValueError as error:
        page = dataset.get("page")
        raise ValueError(f"{error}" + (f" Its web page: {page}" if page else "")) from error


if __name__ == "__main__":
    with job(snakemake.log[0]):
        fetch_dataset(snakemake.params.dataset, snakemake.output[0])
