"""Stop the run where a student is not as sparse, or ranks worse, than the config demands."""

from distilrank.job import job

from pathlib import Path

import pandas as pd

from distilrank.files import write_json


def check_results(checks: str | Path, output: str | Path) -> None:
    """Write how many checks held to ``output``.

    Args:
        checks: the report's ``checks.csv``.

    Raises:
        ValueError: names the models that failed, with the value found and the limit.
    """
    table = pd.read_csv(checks)
    failed = table[~table["ok"].astype(bool)]
    if len(failed):
        lines = (
            f"{line.dataset} {line.name}: {line.check} {line.value:.4f}, limit {line.limit:.4f}"
            for line in failed.itertuples(index=False)
        )
        raise ValueError(
            f"{len(failed)} of {len(table)} checks failed (the report shows them; the floor of "
            "quality is config key 'checks.ndcg_min_share', without labels 'checks.overlap_min'): "
            f"{'; '.join(lines)}"
        )
    write_json(output, {"checks": len(table), "failed": 0})


if __name__ == "__main__":
    with job(snakemake.log[0]):
        check_results(snakemake.input.checks, snakemake.output[0])
