"""Synthetic documents: drawn between the split points of a forest (Cohen et al., SIGIR 2018)."""

import os
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from distilrank.files import replacing
from distilrank.forest import Forest


def random_words(documents: int, features: int, generator: np.random.Generator) -> np.ndarray:
    """(documents, features) uint32 of all its values, each a half of a 64-bit random number."""
    count = documents * features
    halves = generator.bit_generator.random_raw((count + 1) // 2).view(np.uint32)
    return halves[:count].reshape(documents, features)


@dataclass(frozen=True)
class Midpoints:
    """For each feature the values a synthetic document may take.

    Attributes:
        values: (total,) float32, feature after feature.
        offsets: (features + 1,) int64; feature ``f`` owns ``values[offsets[f]:offsets[f + 1]]``,
            at least one.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, forest: Forest, low: np.ndarray, high: np.ndarray) -> "Midpoints":
        """Midpoints of consecutive values of {the forest's thresholds, ``low``, ``high``}.

        Thresholds outside the range are left out. A forest trained on this split has such a one
        only where it tells missing values (`letor.MISSING`) from all others: about 1.7e38,
        half-way to the largest float32. A document drawn beside it would have a feature that no
        real one has, and no student could learn from it.

        Args:
            forest: the teacher.
            low, high: (features,) the train split's smallest and largest values that are not
                missing. A feature with a single value keeps that value.
        """
        per_feature = []
        for thresholds, lowest, highest in zip(forest.thresholds(), low, high, strict=True):
            inside = thresholds[(thresholds >= lowest) & (thresholds <= highest)]
            points = np.unique(np.append(inside, [lowest, highest]).astype(np.float64))
            # Halved before they are added: the sum of two large values could overflow.
            middle = points[:-1] / 2 + points[1:] / 2 if len(points) > 1 else points
            per_feature.append(np.unique(middle.astype(np.float32)))
        counts = [len(values) for values in per_feature]
        return cls(np.concatenate(per_feature), np.concatenate([[0], np.cumsum(counts)]))

    def draw(self, documents: int, generator: np.random.Generator) -> np.ndarray:
        """Documents whose features are drawn independently: (documents, features) float32."""
        counts = np.diff(self.offsets).astype(np.uint64)
        random = random_words(documents, len(counts), generator).astype(np.uint64)
        return self.values[(random * counts >> np.uint64(32)) + self.offsets[:-1].astype(np.uint64)]

    def save(self, path: str | os.PathLike) -> None:
        """Write one safetensors file."""
        with replacing(path) as temporary:
            save_file({"values": self.values, "offsets": self.offsets}, temporary)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Midpoints":
        """Read what ``save`` wrote; ``ValueError`` names any other file."""
        try:
            return cls(**load_file(path))
        except (SafetensorError, TypeError) as error:
            raise ValueError(f"{path} holds no midpoints: {error}") from error
