"""Put tables, figures and sentences together into one HTML file that opens offline."""

from distilrank.job import job

import logging
import os
from pathlib import Path

from distilrank import page
from distilrank.files import read_json, write_text
from distilrank.results import Paths

StrPath = str | os.PathLike


def render_report(
    template: StrPath, tables: Paths, figures: Paths, summary: StrPath, output: StrPath
) -> None:
    """Write the page ``output``.

    Args:
        template: ``report/index.html.j2``.
        tables: the CSV files ``make_tables`` wrote.
        figures: the SVG files of the plot scripts: ``tradeoff-<data set>``,
            ``speedup-<data set>``, ``training-<data set>`` and ``predictor``.
        summary: ``summary.json``.
    """
    folder = Path(output).parent
    tables, figures = list(map(Path, tables)), list(map(Path, figures))
    # Links are relative, so that the report's folder can be copied as a whole.
    links = {
        kind: {path.stem: os.path.relpath(path.with_suffix(""), folder) for path in paths}
        for kind, paths in (("tables", tables), ("figures", figures))
    }
    html = page.render(
        template, page.read_tables(tables), page.read_figures(figures), read_json(summary), links
    )
    logging.info("the page has %d characters", len(html))
    write_text(output, html)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render_report(
            template=snakemake.input.template,
            tables=snakemake.input.tables,
            figures=snakemake.input.figures,
            summary=snakemake.input.summary,
            output=snakemake.output[0],
        )
