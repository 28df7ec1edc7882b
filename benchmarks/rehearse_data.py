"""The data's way at full size: an archive is generated, served, fetched with a break, and parsed.

    python benchmarks/rehearse_data.py FOLDER [--queries TRAIN VALI TEST] [--documents-per-query N]

Run it from the repository. The default is the shape of MSLR-WEB30K's first fold: 3.77 million
documents, 1.1 GB to download, 10 GB of disk in FOLDER with the text that the archive holds never
written. The archive is generated once and found again. A server on this machine breaks off the
first answer half-way, so that the download must resume. The workflow's own rules do the
work. Printed is what each took, and the most anonymous memory (mapped files left out) that one of
its processes held.
"""

import argparse
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from distilrank.letor import SPLITS, Dataset
from distilrank.machine import machine_line

ROOT = Path(__file__).parents[1]
_FEATURES = 136
_FILES = {split: {"path": f"Fold{{fold}}/{split}.txt"} for split in SPLITS}


class BreakingServer(SimpleHTTPRequestHandler):
    """Serves files, ranges too; the first answer ends half-way."""

    broken = False

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        size = path.stat().st_size
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        end = size
        if not BreakingServer.broken:
            BreakingServer.broken, end = True, size // 2
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(size - start))
        self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size}"')
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            while file.tell() < end:
                self.wfile.write(file.read(min(1 << 20, end - file.tell())))

    def log_message(self, *_: Any) -> None:
        """Say nothing: the table says it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which ``folder`` is served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(BreakingServer, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def config_file(folder: Path, name: str, source: dict[str, Any]) -> Path:
    """A config whose one data set is ``name``."""
    entry = {"title": name, "features": _FEATURES, "folds": [1], "files": _FILES}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"datasets": {name: entry | source}}))
    return path


def run(folder: Path, config: Path, *targets: str) -> tuple[float, float]:
    """Make ``targets`` with the workflow; its seconds and its processes' peak megabytes."""
    start = time.perf_counter()
    command = [
        sys.executable, "-m", "snakemake", *targets, "--directory", str(folder),
        "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(config),
    ]  # fmt: skip
    process = subprocess.Popen(command)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, max(map(anonymous_megabytes, _family(process.pid)), default=0.0))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"the workflow failed with status {process.returncode}")
    return time.perf_counter() - start, peak


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def anonymous_megabytes(pid: int) -> float:
    """The megabytes of a process that no file stands behind."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon")), 0.0)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rehearse(folder: Path, queries: list[int], documents_per_query: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    generate = {
        "from": "mslr-sample", "queries": dict(zip(SPLITS, queries, strict=True)),
        "documents_per_query": documents_per_query, "seed": 1, "noise": 0.5,
    }  # fmt: skip
    steps = {}
    config = config_file(folder, "made", {"generate": generate})
    steps["generate (once)"] = run(folder, config, "results/generated/made.zip")
    archive = folder / "results" / "generated" / "made.zip"
    with served(archive.parent) as address:
        source = {
            "name": archive.name, "sha256": sha256_of(archive), "bytes": archive.stat().st_size,
            "sources": [f"{address}/{archive.name}"],
        }  # fmt: skip
        config = config_file(folder, "served", {"archive": source})
        checked = f"results/archives/served/{archive.name}"
        steps["fetch, resumed once"] = run(folder, config, checked)
    meta = [f"results/data/served/fold1/{split}/meta.json" for split in SPLITS]
    steps["archive to arrays"] = run(folder, config, *meta)
    show(folder, archive, steps)


def show(folder: Path, archive: Path, steps: dict[str, tuple[float, float]]) -> None:
    splits = folder / "results" / "data" / "served" / "fold1"
    start = time.perf_counter()
    opened = {split: Dataset.open(splits / split) for split in SPLITS}
    milliseconds = (time.perf_counter() - start) * 1000
    documents = sum(each.n_documents for each in opened.values())
    queries = sum(each.n_queries for each in opened.values())
    print(
        f"\n{documents} documents, {queries} queries; archive {archive.stat().st_size / 1e9:.2f} GB"
    )
    print("\n| step | seconds | peak anonymous MB of a process |\n|---|---|---|")
    for name, (seconds, peak) in steps.items():
        print(f"| {name} | {seconds:.1f} | {peak:.0f} |")
    print(f"| opening all splits | {milliseconds / 1000:.4f} | |")
    print(f"\n{machine_line()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, nargs=3, default=[18919, 6306, 6306])
    parser.add_argument("--documents-per-query", type=float, default=119.6)
    options = parser.parse_args()
    rehearse(options.folder.resolve(), options.queries, options.documents_per_query)


if __name__ == "__main__":
    main()
