"""Build the native library with CMake."""

from distilrank.job import job

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from distilrank.files import replacing


def build_native(sources: str | Path, output: str | Path, *options: str) -> None:
    """Build ``sources``, a folder with a ``CMakeLists.txt``, and put the library at ``output``.

    CMake and Ninja are taken from beside the running Python, else from the path.

    Args:
        options: more of CMake's, such as ``-DSANITIZE=ON``.

    Raises:
        ValueError: if CMake or a compiler is missing: what to install; or the build fails: what
            was said last.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise ValueError("no cmake found, neither beside Python nor on the path; install it")
    if shutil.which("ninja", path=path):
        options = ("-G", "Ninja", *options)
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (
            ["-S", str(sources), "-B", folder, "-DCMAKE_BUILD_TYPE=Release", *options],
            ["--build", folder, "--target", "distilrank"],
        ):
            done = subprocess.run(
                [cmake, *arguments],
                env=os.environ | {"PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            logging.info("%s", done.stdout)
            if done.returncode:
                raise ValueError(_failure(done.stdout))
        with replacing(output) as temporary:
            shutil.copyfile(Path(folder, "libdistilrank.so"), temporary)


def _failure(said: str) -> str:
    """What to do about a build that failed."""
    if "CMAKE_CXX_COMPILER" in said:
        return (
            "no C++ compiler was found: install one (Debian: 'apt-get install g++'; conda: "
            "'cxx-compiler'), or name it in the variable CXX, and run again"
        )
    return f"the native library could not be built. CMake said: {said.strip()[-500:]}"


if __name__ == "__main__":
    with job(snakemake.log[0]):
        build_native(
            Path(snakemake.input.sources[0]).parent,
            snakemake.output[0],
            *snakemake.params.options,
        )
