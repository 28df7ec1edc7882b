"""When weights go: at once, in a rising share, or in rounds of pruning and training.

Whatever the schedule, a pruned weight is 0 from then on and, being the smallest, goes again
whenever masks are made anew: it does not come back.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distilrank.pruning import Masks, Pruning, check_pruned, importances, masks_for
from distilrank.student import Student

MasksAt = Callable[[int, Student], Sequence[np.ndarray | None]]
# Trains a student with a seed, under masks, choosing among the epochs from the last number on.
Run = Callable[[Student, int, MasksAt, int], tuple[Student, list[dict[str, float]]]]


def cubic_sparsity(sparsity: float, epoch: int, ramp: int) -> float:
    """The share of zeros in ``epoch`` (from 1), which rises to ``sparsity`` in epoch ``ramp``.

    ``sparsity * (1 - (1 - epoch / ramp) ** 3)``: fast at first, when there is much to spare (Zhu
    and Gupta, 2017, arXiv 1710.01878, equation 1).
    """
    return sparsity * (1 - (1 - min(1.0, epoch / ramp)) ** 3)


def round_sparsities(sparsity: float, rounds: int) -> list[float]:
    """The share of zeros in each round: each keeps the same share of the weights that are left."""
    kept = 1 - sparsity
    return [1 - kept ** (number / rounds) for number in range(1, rounds)] + [sparsity]


def round_seed(seed: int, number: int) -> int:
    """The seed of round ``number`` (from 1); the first one's is ``seed`` itself."""
    return seed if number == 1 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def prune(
    dense: Student,
    pruning: Pruning,
    sparsity: float,
    seed: int,
    run: Run,
    rows: np.ndarray | None = None,
) -> tuple[Student, list[dict[str, float]]]:
    """Prune ``dense`` to ``sparsity`` and train what is left, by ``pruning``'s schedule.

    ``iterative``: each round prunes a share of what is left and trains with the learning rates from
    their start (learning-rate rewinding, Renda et al., ICLR 2020); with ``rewind`` the weights too
    go back to the dense student's (Frankle et al., ICML 2020, whose rewinding goes to an early
    epoch of the dense training; here it goes to its end).

    Args:
        run: trains; called once, or once a round.
        rows: raw documents, read where the importance is ``activation``.

    Returns:
        The pruned student, its dead neurons still there, and ``run``'s records, epochs counted on.

    Raises:
        ValueError: as `masks_for`, before anything is trained where one mask can tell; if a pruned
            weight came back.
    """
    # Refuses what cannot be pruned before hours of training.
    first = _masks(dense, pruning, sparsity, rows)
    if pruning.schedule == "gradual":
        tuned, records = run(dense, seed, _rising(pruning, sparsity, rows), pruning.ramp)
    elif pruning.schedule == "iterative":
        tuned, records = _rounds(dense, pruning, sparsity, seed, run, rows)
    else:
        tuned, records = run(dense, seed, _fixed(first), 1)
    check_pruned(tuned, pruning, sparsity)
    return tuned, records


def _masks(student: Student, pruning: Pruning, sparsity: float, rows: np.ndarray | None) -> Masks:
    by_input = pruning.importance == "activation"
    ranks = importances(student, rows) if by_input else None
    return masks_for(student, pruning.layers, sparsity, pruning.scope, ranks)


def _fixed(masks: Sequence[np.ndarray | None]) -> MasksAt:
    return lambda epoch, student: masks


def _rising(pruning: Pruning, sparsity: float, rows: np.ndarray | None) -> MasksAt:
    """Masks of the network as it is; the same whenever asked, so that training can be resumed."""

    def masks_at(epoch: int, student: Student) -> Sequence[np.ndarray | None]:
        return _masks(student, pruning, cubic_sparsity(sparsity, epoch, pruning.ramp), rows)

    return masks_at


def _rounds(
    dense: Student,
    pruning: Pruning,
    sparsity: float,
    seed: int,
    run: Run,
    rows: np.ndarray | None,
) -> tuple[Student, list[dict[str, Any]]]:
    tuned, history = dense, []
    for number, share in enumerate(round_sparsities(sparsity, pruning.rounds), start=1):
        masks = _masks(tuned, pruning, share, rows)
        start = dense if pruning.rewind else tuned
        tuned, records = run(start, round_seed(seed, number), _fixed(masks), 1)
        done = len(history)
        history += [record | {"epoch": record["epoch"] + done} for record in records]
    return tuned, history
