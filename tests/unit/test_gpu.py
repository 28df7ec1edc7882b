"""Training on a GPU: which device is taken, that nothing is left on the CPU, the same quality."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distilrank import distil
from distilrank.distil import (
    Lesson,
    Schedule,
    checkpoint_beside,
    new_student,
    open_lesson,
    pick_device,
    products_of,
    train,
)
from distilrank.gradient import TorchGradient
from distilrank.metrics import Judged
from distilrank.net import Net
from distilrank.pruning import masks_for
from distilrank.scaling import fit_zscore
from distilrank.student import Student

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
SCHEDULE = Schedule(epochs=20, batch=40, learning_rate=0.01, compute="auto", dropout=0.1)


@pytest.fixture(scope="module")
def lesson(fold, native_library: Path) -> Lesson:
    return open_lesson(fold.data, fold.teacher, native_library)


@pytest.fixture(scope="module")
def start(lesson: Lesson) -> Student:
    return new_student([16, 8], *fit_zscore(lesson.train.features), 1, {"seed": 1})


def bytes_of(student: Student, folder: Path) -> bytes:
    student.save(folder / "student.safetensors")
    return (folder / "student.safetensors").read_bytes()


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, there, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert pick_device() == device


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_gpu_for_bf16_of_its_own(monkeypatch, native):
    """Not the CPU beside it, and not for bf16 that is emulated."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": not native})
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation
    )
    assert products_of(SCHEDULE, "cuda") == ("bf16" if native else "fp32")
    assert products_of(replace(SCHEDULE, compute="fp32"), "cuda") == "fp32"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_step_leaves_nothing_on_the_cpu(monkeypatch, lesson, start, precision):
    """On PyTorch's device without data, which refuses a tensor of any other, as a GPU does."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    net = Net(start, 0.1, masks_for(start, [1], 0.5), precision).to("meta")
    optimiser = torch.optim.Adam(net.parameters(), fused=False)
    batch = lesson.feed(start, SCHEDULE, 1).batch(1, 0)
    loss = TorchGradient(net, bf16=False).loss(batch)
    loss.backward()
    optimiser.step()
    net.hold_masks()
    net.set_masks(masks_for(start, [1], 0.75))
    assert loss.device.type == "meta"
    assert {tensor.device.type for tensor in net.state_dict().values()} == {"meta"}
    assert net(torch.empty(5, lesson.train.n_features, device="meta")).shape == (5,)


@pytest.mark.parametrize("background", [True, False])
def test_batches_made_in_the_background_train_the_same_network(
    monkeypatch, lesson, start, tmp_path, background
):
    """As on a GPU, where the feed's threads work while the trainer does."""
    plain, _ = train(start, lesson, replace(SCHEDULE, epochs=2), 1)
    whole = distil.Feed.epoch

    def epoch(self, number, threads, plan, **_):
        return whole(self, number, 3, background, plan)

    monkeypatch.setattr(distil.Feed, "epoch", epoch)
    other, _ = train(start, lesson, replace(SCHEDULE, epochs=2), 1)
    assert bytes_of(other, tmp_path) == bytes_of(plain, tmp_path)


@needs_gpu
@pytest.mark.parametrize("compute", ["fp32", "auto"])
def test_a_gpu_gives_the_same_quality_as_the_cpu(lesson, start, compute):
    """Sums run in another order and bf16 has 8 bits: not the same bytes, the same ranking."""
    schedule = replace(SCHEDULE, compute=compute)
    judged = Judged(lesson.vali.labels, lesson.vali.offsets)
    ndcg, losses = {}, {}
    for device in ("cpu", "cuda"):
        student, history = train(start, lesson, schedule, 1, device)
        scores = student.predict(lesson.vali.features)
        ndcg[device] = np.nanmean(judged.per_query("ndcg@10", scores, 1.0))
        losses[device] = history[-1]["loss"]
        assert all(isinstance(weight, np.ndarray) for weight in student.weights)
    assert ndcg["cuda"] == pytest.approx(ndcg["cpu"], abs=0.05)
    assert losses["cuda"] < 1.3 * losses["cpu"]


@needs_gpu
def test_the_same_seed_on_a_gpu_gives_the_same_bytes_cut_off_or_not(lesson, start, tmp_path):
    masks = masks_for(start, [1], 0.5)
    whole, _ = train(start, lesson, SCHEDULE, 1, "cuda", masks=masks)
    again, _ = train(start, lesson, SCHEDULE, 1, "cuda", masks=masks)
    assert bytes_of(again, tmp_path) == bytes_of(whole, tmp_path)
    checkpoint = checkpoint_beside(tmp_path / "sp0.safetensors", start, lesson, {})
    checkpoint.seconds = 0
    asked = []

    def cut(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        if len(asked) > 30:  # of six batches an epoch
            raise KeyboardInterrupt
        return lesson.teacher(rows)

    with pytest.raises(KeyboardInterrupt):
        train(start, replace(lesson, teacher=cut), SCHEDULE, 1, "cuda", masks=masks,
              checkpoint=checkpoint)  # fmt: skip
    rest, history = train(start, lesson, SCHEDULE, 1, "cuda", masks=masks, checkpoint=checkpoint)
    assert bytes_of(rest, tmp_path) == bytes_of(whole, tmp_path)
    assert len(history) == SCHEDULE.epochs
