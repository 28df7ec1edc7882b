"""Folding a student's z-score for engines that round the rows they are given to bf16."""

from dataclasses import replace

import numpy as np

from distilrank.student import Student

# What `describe` says of such an engine's scaler.
MEAN_TAKEN_OFF = "the mean taken off in fp32, within the time; the scale folded"


def folded_for_bf16(student: Student) -> tuple[Student, np.ndarray | None]:
    """The folded network, and the (features,) float32 mean to take off its rows first, if any.

    bf16 keeps 8 bits of a number, so the rounding error is a share of what is rounded: of a raw
    value, whose mean square is ``1 + (mean / scale)^2`` in squares of the scale, or of a z-score,
    whose mean square is 1. Taking the mean off costs a tenth of a small network's time: it is
    done where raw rows would err twice as much as z-scores, over the features that are read.
    """
    read = student.weights[0].any(axis=0)
    means = (student.mean / student.scale)[read]
    if not means.size or np.mean(means**2) <= 3.0:
        return student.folded(), None
    mean = student.mean.astype(np.float32)
    # What float32 cannot hold of the mean goes into the bias.
    return replace(student, mean=student.mean - mean).folded(), mean
