"""What kind of file a name stands for."""

from pathlib import Path

COMPRESSED = (".gz", ".bz2", ".zst")
TABLES = (".csv", ".parquet")


def content_suffix(path: str) -> str:
    """A file's suffix without that of its compression: ``.csv`` of ``train.csv.gz``."""
    name = Path(path)
    return Path(name.stem).suffix if name.suffix in COMPRESSED else name.suffix


def is_table(path: str) -> bool:
    """True for the names of CSV files, compressed or not, and of Parquet files."""
    return content_suffix(path) in TABLES
