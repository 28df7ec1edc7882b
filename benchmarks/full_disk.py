"""Run on a disk that is too small, enlarge it at each failure, compare with a calm run's results.

Mounts a tmpfs, so that it must be run by root: see docs/interruptions.md.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.kill_runs import Run, wrong_with


def fill_and_enlarge(options: argparse.Namespace) -> list[str]:
    """Call ``make report`` until it succeeds, with more space each time; what was wrong."""
    disk = options.folder / "run"
    disk.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={options.most}m", "none", disk], check=True
    )
    try:
        arguments = f"--cores {options.cores} --configfile {options.config.resolve()}"
        run, failures = Run(disk, arguments), 0
        if options.native:
            run.take_native(options.calm)
        size = 1 + shutil.disk_usage(disk).used // 2**20
        while True:
            subprocess.run(["mount", "-o", f"remount,size={size}m", disk], check=True)
            code = run.start().wait()
            if code == 0:
                break
            failures += 1
            said = [line.strip() for line in run.said.splitlines() if "no space" in line.lower()]
            print(f"{size} MB: {said[0] if said else run.said[-500:]}", flush=True)
            if not said or size >= options.most:
                return [f"at {size} MB it failed, and not with a sentence about space"]
            size += options.step
        print(f"finished with {size} MB after {failures} failures", flush=True)
        return wrong_with(run, options.calm)
    finally:
        subprocess.run(["umount", disk], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calm", type=Path, required=True, help="a calm run's folder")
    parser.add_argument("--folder", type=Path, required=True, help="where to mount it")
    parser.add_argument("--native", action="store_true", help="take the calm run's compiled code")
    parser.add_argument("--config", type=Path, default=Path("tests/workflow/small.yaml"))
    parser.add_argument("--step", type=int, default=1, help="MB")
    parser.add_argument("--most", type=int, default=500, help="MB")
    parser.add_argument("--cores", type=int, default=2)
    wrong = fill_and_enlarge(parser.parse_args())
    print("; ".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
