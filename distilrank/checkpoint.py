"""A training's state between two epochs, on disk: what a job that was killed goes on from.

A safetensors file, safe to open. It is bound to its run by a digest of everything that decides
the training: with another one, or damaged, it is not used, and the log says so.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distilrank.files import replacing
from distilrank.net import Net
from distilrank.student import Student

_FORMAT = "distilrank-checkpoint-2"


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        best: the best student so far.
        best_quality: its measure on vali.
        history: one record for each epoch that is done.
    """

    best: Student
    best_quality: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        return len(self.history)


class Checkpoint:
    """The file, written at most every ``seconds``."""

    def __init__(
        self, path: str | os.PathLike, identity: Mapping[str, Any], seconds: float = 60.0
    ) -> None:
        """Nothing is read or written yet.

        Args:
            path: beside the job's outputs, and none of them: Snakemake deletes those of a job
                that was killed.
            identity: what decides the training, such as its digest; plain JSON.
            seconds: the least time between two writes.
        """
        self.path, self.seconds = Path(path), seconds
        self.identity = json.loads(json.dumps(identity))
        self._written = time.monotonic()

    def save(self, net: Net, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        """Write everything, if the last write is long enough ago."""
        if time.monotonic() - self._written < self.seconds:
            return
        tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
        for number, state in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": tensor for name, tensor in state.items()}
        for layer, (weight, bias) in enumerate(
            zip(progress.best.weights, progress.best.biases, strict=True)
        ):
            tensors[f"best.weight{layer}"] = torch.from_numpy(weight)
            tensors[f"best.bias{layer}"] = torch.from_numpy(bias)
        tensors["random.cpu"] = torch.get_rng_state()
        if net.mean.is_cuda:
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        facts = {
            "identity": self.identity,
            "best_quality": progress.best_quality,
            "history": progress.history,
        }
        header = {"format": _FORMAT, "facts": json.dumps(facts)}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(self.path) as temporary:
            save_file(plain, temporary, metadata=header)
        self._written = time.monotonic()

    def load(self, net: Net, optimiser: torch.optim.Optimizer, start: Student) -> Progress:
        """Bring ``net`` and ``optimiser`` to where the file stands; from the start without one.

        A file of another run, or a damaged one, is left alone, and the log says why.
        """
        if not self.path.exists():
            return Progress(start)
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = self._facts(header)
            _restore(net, optimiser, tensors)
            best = _best(start, tensors)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            logging.warning("%s is not gone on from: %s; starting over", self.path, error)
            return Progress(start)
        logging.info("going on after epoch %d from %s", len(facts["history"]), self.path)
        return Progress(best, facts["best_quality"], facts["history"])

    def remove(self) -> None:
        """Delete the file: the training's outputs are written."""
        self.path.unlink(missing_ok=True)

    def _facts(self, header: Mapping[str, str]) -> dict[str, Any]:
        if header.get("format") != _FORMAT:
            raise ValueError(f"its format is {header.get('format')!r}, expected {_FORMAT!r}")
        facts = json.loads(header["facts"])
        for name, wanted in self.identity.items():
            if (found := facts["identity"].get(name)) != wanted:
                raise ValueError(f"its {name} is {found!r}, this training's is {wanted!r}")
        return facts


def digest(arrays: Iterable[np.ndarray]) -> str:
    """The sha256 of arrays' types, shapes and contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _restore(net: Net, optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Only after all of it has been looked at is anything changed."""
    state = {
        name.removeprefix("net."): tensor
        for name, tensor in tensors.items()
        if name.startswith("net.")
    }
    expected = {name: tensor.shape for name, tensor in net.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise ValueError("it holds a network of another architecture")
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, number, key = name.split(".")
            moments.setdefault(int(number), {})[key] = tensor
    whole = optimiser.state_dict()
    random = tensors["random.cpu"]
    net.load_state_dict(state)
    optimiser.load_state_dict(whole | {"state": moments})
    torch.set_rng_state(random)
    if "random.cuda" in tensors and net.mean.is_cuda:
        torch.cuda.set_rng_state(tensors["random.cuda"])


def _best(start: Student, tensors: Mapping[str, torch.Tensor]) -> Student:
    layers = range(len(start.weights))
    weights, biases = (
        tuple(tensors[f"best.{kind}{layer}"].numpy() for layer in layers)
        for kind in ("weight", "bias")
    )
    return replace(start, weights=weights, biases=biases)
