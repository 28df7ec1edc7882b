"""Dead neurons: found, and taken out of a student without changing its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from distilrank.student import Student


def live_units(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Which features, neurons and outputs lie on a path of weights from a feature to the output.

    Args:
        weights: one (outputs, inputs) matrix a layer; what is not 0 is a connection.

    Returns:
        A boolean array for the features, then one for each layer's outputs.
    """
    links = [weight != 0 for weight in weights]
    reached = [np.ones(links[0].shape[1], dtype=bool)]
    for link in links:
        reached.append((link & reached[-1]).any(axis=1))
    read = [np.ones(links[-1].shape[0], dtype=bool)]
    for link in reversed(links):
        read.insert(0, (link & read[0][:, None]).any(axis=0))
    return [there & onward for there, onward in zip(reached, read, strict=True)]


def remove_dead_neurons(student: Student) -> Student:
    """The same network without neurons that read nothing or that nothing reads.

    A neuron without inputs has the constant output ``relu6(bias)``, which goes into the biases of
    the neurons that read it; so does that of a neuron all of whose inputs are constant. Scores
    stay the same but for the rounding of the new biases to float32. Features stay, read or not.

    Raises:
        ValueError: if no path leads from any feature to the output.
    """
    live = live_units(student.weights)
    if not live[0].any():
        raise ValueError(
            f"no path of weights leads from a feature to the output of {student.architecture}: "
            "every document would have the same score; lower the sparsity"
        )
    inputs, constant = np.ones(student.n_features, dtype=bool), np.zeros(student.n_features)
    weights, biases = [], []
    for layer, outputs in enumerate(live[1:]):
        weight = student.weights[layer].astype(np.float64)
        # Live neurons read constants and live ones; constant ones read constants alone.
        bias = student.biases[layer] + weight @ constant
        weights.append(student.weights[layer][np.ix_(outputs, inputs)])
        biases.append(bias[outputs].astype(np.float32))
        constant = np.where(outputs, 0.0, np.clip(bias, 0.0, 6.0))
        inputs = outputs
    return replace(student, weights=tuple(weights), biases=tuple(biases))
