"""int8: what a network scores when its layers from the second on are quantised to 8 bits.

The scheme is that of Jacob et al. (CVPR 2018) with the choices that Krishnamoorthi (2018,
arXiv 1806.08342) recommends for a CPU: weights symmetric with one step for each output, activations
unsigned. ReLU6 bounds every hidden activation, so their step is known and nothing is calibrated.

1. The first layer runs in fp32 on z-scored features, which have no bounds.
2. A hidden activation ``x`` in [0, 6] becomes the code ``round(x / (6 / 255))`` in 0..255.
3. Row ``o`` of every later layer, the last included, has the step ``s_o = max |w_o| / 127`` and the
   codes ``round(w / s_o)`` in -127..127. The maximum is over all inputs of the row as the student's
   file has it. A row of zeros has step 0 and codes 0.
4. ``y_o = s_o (6 / 255) (sum of products of codes) + b_o``: whole numbers in the sum, which fits 32
   bits up to 66,000 inputs; then ReLU6 and the next codes.

Halves round to the even neighbour. A network of one layer is fp32 throughout.
"""

import numpy as np

from distilrank.student import Student

LARGEST_ACTIVATION = 6.0
ACTIVATION_CODES = 255
WEIGHT_CODES = 127
ACTIVATION_STEP = LARGEST_ACTIVATION / ACTIVATION_CODES


def quantised_weights(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes of a layer's weights and each row's step; ``codes * steps[:, None]`` is near them.

    Args:
        weight: (outputs, inputs) floats.

    Returns:
        (outputs, inputs) int8 in -127..127; (outputs,) float64 steps, 0 for a row of zeros.
    """
    exact = weight.astype(np.float64)
    steps = np.abs(exact).max(axis=1) / WEIGHT_CODES
    codes = np.rint(exact / np.where(steps > 0, steps, 1.0)[:, None])
    return codes.astype(np.int8), steps


def quantised_activations(values: np.ndarray) -> np.ndarray:
    """uint8 codes of activations of any shape; what lies beyond [0, 6] takes the nearest bound."""
    bounded = np.clip(values, 0.0, LARGEST_ACTIVATION)
    return np.rint(bounded * (ACTIVATION_CODES / LARGEST_ACTIVATION)).astype(np.uint8)


def fake_quantised_weights(weight: np.ndarray) -> np.ndarray:
    """(outputs, inputs) float64: the numbers that the codes of ``weight`` stand for."""
    codes, steps = quantised_weights(weight)
    return codes * steps[:, None]


def fake_quantised_activations(values: np.ndarray) -> np.ndarray:
    """float64, the shape of ``values``: the numbers that their codes stand for."""
    return quantised_activations(values) * ACTIVATION_STEP


def predict_int8(student: Student, rows: np.ndarray) -> np.ndarray:
    """The scores of ``student`` in int8: what every int8 engine answers to.

    All that is not a code is float64. Sums of products of codes are whole numbers, which float64
    holds exactly whatever their order.

    Args:
        rows: (documents, features) raw features, any float type.

    Returns:
        (documents,) float64.

    Raises:
        ValueError: as `Student.predict`.
    """
    values = student.standardised(rows) @ student.weights[0].astype(np.float64).T
    values += student.biases[0]
    for weight, bias in zip(student.weights[1:], student.biases[1:], strict=True):
        codes, steps = quantised_weights(weight)
        inputs = quantised_activations(values).astype(np.float64)
        values = inputs @ codes.astype(np.float64).T * (steps * ACTIVATION_STEP) + bias
    return values[:, 0]
