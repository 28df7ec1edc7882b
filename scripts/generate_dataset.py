"""Generate an archive of documents of a real sample's shape."""

from distilrank.job import job

import logging
from pathlib import Path
from typing import Any

from distilrank.generate import Generator, Sample, write_archive
from distilrank.letor import Dataset


def generate_dataset(
    train: str | Path, vali: str | Path, generate: dict[str, Any], output: str | Path
) -> None:
    """Write the archive that the catalogue's ``generate`` entry asks for to ``output``.

    The sample's test split is left alone: who learns from generated data may be tested on it.

    Args:
        train, vali: folders of the sample's splits.
        generate: ``queries`` of each split, ``documents_per_query``, ``seed`` and ``noise``.

    Raises:
        ValueError: if the sample or a number cannot be drawn from.
    """
    sample = Sample([Dataset.open(train), Dataset.open(vali)])
    generator = Generator(sample, generate["seed"], generate["noise"])
    written = write_archive(output, generator, generate["queries"], generate["documents_per_query"])
    for split, documents in written.items():
        logging.info("%s: %d documents, %d queries", split, documents, generate["queries"][split])


if __name__ == "__main__":
    with job(snakemake.log[0]):
        generate_dataset(
            Path(snakemake.input.train[0]).parent,
            Path(snakemake.input.vali[0]).parent,
            snakemake.params.generate,
            snakemake.output[0],
        )
