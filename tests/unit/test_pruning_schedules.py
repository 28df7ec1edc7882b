"""distilrank.pruning_schedules: what is pruned when, with a training that only looks on."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny import random_student

from distilrank.pruning import Pruning, masks_for
from distilrank.pruning_schedules import cubic_sparsity, prune, round_seed, round_sparsities

EPOCHS = 4


class Training:
    """Holds masks and moves every weight that is left; remembers what it was asked."""

    def __init__(self, returns: float = 0.0) -> None:
        self.calls, self.shares, self.returns = [], [], returns

    def __call__(self, student, seed, masks_at, select_from):
        self.calls.append((student, seed, select_from))
        generator = np.random.default_rng(seed)
        for epoch in range(1, EPOCHS + 1):
            masks = masks_at(epoch, student)
            weights = [
                weight + 0.3 * generator.normal(size=weight.shape).astype(np.float32)
                for weight in student.weights
            ]
            for layer, mask in enumerate(masks):
                if mask is not None:
                    weights[layer] = np.where(mask, weights[layer], np.float32(self.returns))
            student = replace(student, weights=tuple(weights))
            self.shares.append(student.sparsity(0))
        return student, [{"epoch": epoch} for epoch in range(1, EPOCHS + 1)]


def dense():
    return random_student(np.random.default_rng(0), (20, 10, 5, 1))


def test_the_cubic_schedule_is_that_of_zhu_and_gupta():
    found = [cubic_sparsity(0.9, epoch, 4) for epoch in (1, 2, 3, 4, 5)]
    rising = [0.9 * (1 - (1 - epoch / 4) ** 3) for epoch in (1, 2, 3)]
    assert found == pytest.approx([*rising, 0.9, 0.9], rel=1e-15)
    assert found[3] == 0.9, "exactly"
    assert cubic_sparsity(0.9, 1, 1) == 0.9


def test_each_round_keeps_the_same_share():
    assert round_sparsities(0.973, 3) == pytest.approx([0.7, 0.91, 0.973])
    assert round_sparsities(0.98, 1) == [0.98]
    assert round_sparsities(0.98, 4)[-1] == 0.98, "exactly"


def test_one_shot_holds_the_masks_of_the_dense_student():
    run = Training()
    tuned, records = prune(dense(), Pruning([1]), 0.9, 7, run)
    assert [call[1:] for call in run.calls] == [(7, 1)]
    assert run.shares == pytest.approx([0.9] * EPOCHS)
    assert np.array_equal(tuned.weights[0] != 0, masks_for(dense(), [1], 0.9)[0])
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]


def test_gradual_pruning_follows_the_weights_and_chooses_from_the_ramp_on():
    run = Training()
    tuned, _ = prune(dense(), Pruning([1], schedule="gradual", ramp=3), 0.9, 7, run)
    wanted = [round(200 * cubic_sparsity(0.9, epoch, 3)) / 200 for epoch in (1, 2, 3, 4)]
    assert run.shares == pytest.approx(wanted)
    assert run.calls[0][2] == 3
    at_once = masks_for(dense(), [1], 0.9)[0]
    assert not np.array_equal(tuned.weights[0] != 0, at_once), "weights moved in between"


def test_a_pruned_weight_does_not_come_back():
    seen = []

    class Watching(Training):
        def __call__(self, student, seed, masks_at, select_from):
            def watched(epoch, net):
                seen.append(masks_at(epoch, net)[0])
                return [seen[-1], None, None]

            return super().__call__(student, seed, watched, select_from)

    for pruning in (
        Pruning([1], schedule="gradual", ramp=EPOCHS),
        Pruning([1], schedule="iterative", rounds=3),
    ):
        seen.clear()
        prune(dense(), pruning, 0.9, 7, Watching())
        assert not any((later & ~earlier).any() for earlier, later in pairwise(seen))


@pytest.mark.parametrize("rewind", [False, True])
def test_rounds_go_on_from_the_last_one_or_from_the_dense_weights(rewind):
    run = Training()
    pruning = Pruning([1], schedule="iterative", rounds=3, rewind=rewind)
    tuned, records = prune(dense(), pruning, 0.973, 7, run)
    assert [record["epoch"] for record in records] == list(range(1, 3 * EPOCHS + 1))
    shares = [round(200 * share) / 200 for share in round_sparsities(0.973, 3)]
    assert run.shares[::EPOCHS] == pytest.approx(shares)
    starts, seeds, _ = zip(*run.calls, strict=True)
    assert seeds == tuple(round_seed(7, number) for number in (1, 2, 3)) and seeds[0] == 7
    assert len(set(seeds)) == 3
    from_dense = [np.array_equal(start.weights[0], dense().weights[0]) for start in starts]
    assert from_dense == [True, rewind, rewind]
    assert tuned.sparsity(0) == pytest.approx(shares[-1])


def test_input_deviations_decide_where_asked():
    """Features 0 to 9 never vary: their weights go first, however large."""
    rows = np.zeros((6, 20), np.float32)
    rows[::2, 10:] = 3.0
    student = dense()
    student.mean[:], student.scale[:] = 0, 1
    student.weights[0][:, :10] *= 100
    pruning = Pruning([1], importance="activation")
    tuned, _ = prune(student, pruning, 0.5, 7, Training(), rows)
    assert (tuned.weights[0][:, :10] == 0).all() and (tuned.weights[0][:, 10:] != 0).all()


def test_weights_that_come_back_are_noticed():
    with pytest.raises(ValueError, match="layer 1 has 0 zeros, expected 180: pruned weights came"):
        prune(dense(), Pruning([1]), 0.9, 7, Training(returns=1e-3))


@pytest.mark.parametrize("schedule", ["one-shot", "gradual", "iterative"])
def test_what_cannot_be_pruned_is_refused_before_training(schedule):
    run = Training()
    with pytest.raises(ValueError, match="leaves layer 3 of 20-10-5-1 none of its 5 weights"):
        prune(dense(), Pruning([3], schedule=schedule, ramp=2, rounds=2), 0.95, 7, run)
    assert not run.calls
