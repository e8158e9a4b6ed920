"""distillation: losses against torch and autograd, students that are their teacher, tables that are their rows."""

import copy
import logging
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertModel

from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import distillation, finetuning, towers
from coldstart_utils.language.encoders import TextEncoder

WORDS = ["space", "shark", "love", "war", "piano", "desert", "train", "detective", "ghost", "dancer", "king", "robot"]
TEXTS = [f"a film about a {a} and a {b}" + " again" * (n % 5) for n, (a, b) in enumerate(zip(WORDS, WORDS[::-1]))]
TEXTS += [f"{a} {b}" for a, b in zip(WORDS[:4], WORDS[4:])]
ROWS = np.arange(len(TEXTS))


@pytest.fixture(scope="module")
def encoder():
    """A small random BERT of three layers with the real tokenizer."""
    real = TextEncoder(cache=False, max_tokens=32)
    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64)
    own = copy.copy(real)
    own.__dict__ |= {"tokenizer": real.tokenizer, "model": BertModel(config).eval()}
    return own


@pytest.fixture
def logits():
    torch.manual_seed(1)
    return torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64), torch.arange(7) % 5


# --- Losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_ends_of_alpha_are_cross_entropy_and_scaled_kl(logits, temperature):
    student, teacher, labels = logits
    p, q = (torch.softmax(x / temperature, dim=1) for x in (teacher, student))
    ends = [distillation.distillation_loss(student, teacher, labels, temperature, alpha) for alpha in (0.0, 1.0)]
    assert torch.allclose(ends[0], functional.cross_entropy(student, labels))
    assert torch.allclose(ends[1], temperature**2 * (p * (p / q).log()).sum(dim=1).mean())
    middle = distillation.distillation_loss(student, teacher, labels, temperature, 0.3)
    assert torch.allclose(middle, 0.7 * ends[0] + 0.3 * ends[1])


def gradient(student, teacher, labels, temperature):
    student = student.clone().requires_grad_()
    distillation.distillation_loss(student, teacher, labels, temperature, 1.0).backward()
    return student.grad


def test_at_high_temperature_the_gradient_neither_fades_nor_grows(logits):
    student, teacher, _ = logits
    centred = [x - x.mean(dim=1, keepdim=True) for x in (student, teacher)]
    limit = (centred[0] - centred[1]) / student.numel()
    assert torch.allclose(gradient(*logits, 1e4), limit, rtol=1e-3, atol=1e-6)
    assert torch.allclose(gradient(*logits, 1e3), limit, rtol=1e-2, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences(logits):
    student, teacher, labels = logits
    step = torch.zeros_like(student)
    step[2, 3] = 1e-6
    up, down = (distillation.distillation_loss(student + s, teacher, labels, 3.0, 1.0) for s in (step, -step))
    assert torch.isclose((up - down) / 2e-6, gradient(*logits, 3.0)[2, 3], rtol=1e-5)


def test_a_student_who_says_what_the_teacher_says_has_nothing_to_learn(logits):
    student, _, labels = logits
    assert distillation.distillation_loss(student, student, labels, 2.0, 1.0).abs() < 1e-12
    assert distillation.kernel_loss(student, student) == 0


def test_a_kernel_does_not_see_a_turn_of_the_space(logits):
    student, teacher, _ = logits
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    plain, turned = (distillation.kernel_loss(Z, teacher) for Z in (student, student @ turn))
    assert torch.isclose(plain, turned) and plain > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"temperature": 0.0}, "temperature: expected a number above 0"),
        ({"temperature": float("nan")}, "temperature: expected a number above 0"),
        ({"alpha": 1.5}, "alpha: expected a number from 0 to 1"),
        ({"teacher_logits": torch.zeros(7, 4)}, "expected shapes"),
        ({"labels": torch.zeros(6, dtype=torch.int64)}, "expected shapes"),
    ],
)
def test_nonsense_is_refused(logits, change, told):
    given = dict(zip(("student_logits", "teacher_logits", "labels"), logits)) | {"temperature": 2.0, "alpha": 0.5}
    with pytest.raises(ColdstartError, match=told):
        distillation.distillation_loss(**(given | change))


# --- Few layers -------------------------------------------------------------------------------------------------------


def test_a_student_of_all_layers_is_its_teacher(encoder):
    student = distillation.shallow(encoder, (0, 1, 2))
    assert np.allclose(student.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


def test_a_student_has_copies_of_the_layers_it_was_given(encoder):
    student = distillation.shallow(encoder, (0, 2)).model
    assert len(student.encoder.layer) == student.config.num_hidden_layers == 2
    assert torch.equal(student.encoder.layer[1].output.dense.weight, encoder.model.encoder.layer[2].output.dense.weight)
    with torch.no_grad():
        student.encoder.layer[1].output.dense.weight.zero_()
    assert encoder.model.encoder.layer[2].output.dense.weight.abs().sum() > 0
    assert len(encoder.model.encoder.layer) == 3


@pytest.mark.parametrize("layers", [(), (0, 3), (-1,)])
def test_layers_that_are_not_there_are_refused(encoder, layers):
    with pytest.raises(ColdstartError, match="layers: expected some of 0 to 2"):
        distillation.shallow(encoder, layers)


def test_a_tower_gives_the_vectors_of_its_encoder_row_by_row(encoder):
    rows = np.array([7, 0, 4])
    with torch.no_grad():
        Z = towers.ItemTower(encoder, TEXTS).encode(rows)
    assert torch.allclose(Z, torch.from_numpy(encoder.encode([TEXTS[row] for row in rows])), atol=1e-5)


def test_one_step_lowers_the_loss_of_its_batch(encoder):
    tower = towers.ItemTower(distillation.shallow(encoder, (0, 2)), TEXTS)
    loss = distillation.student_loss(tower, encoder.encode(TEXTS))
    before = loss(ROWS[:8]).item()
    finetuning.fit(tower.model, loss, lambda _: [ROWS[:8]], epochs=1, lr=1e-4)
    assert loss(ROWS[:8]).item() < before


def test_what_is_frozen_and_the_teacher_stay_as_they_are(encoder):
    before = {name: own.clone() for name, own in encoder.model.state_dict().items()}
    tower = towers.ItemTower(distillation.shallow(encoder, (0, 2)), TEXTS, frozen=1)
    loss = distillation.student_loss(tower, np.eye(16))
    frozen = {name: own.clone() for name, own in tower.model.encoder.layer[0].state_dict().items()}
    moving = tower.model.encoder.layer[1].output.dense.weight.detach().clone()
    finetuning.fit(tower.model, loss, lambda _: [ROWS], epochs=1, lr=1e-3)
    assert all(torch.equal(own, frozen[name]) for name, own in tower.model.encoder.layer[0].state_dict().items())
    assert all(torch.equal(own, before[name]) for name, own in encoder.model.state_dict().items())
    assert not torch.equal(tower.model.encoder.layer[1].output.dense.weight, moving)


def test_a_deployed_student_says_the_same_and_fewer_bits_nearly_the_same(encoder, tmp_path):
    pytest.importorskip("onnxruntime")
    logging.disable(logging.INFO)
    try:
        found = distillation.deployed(encoder, tmp_path)
        assert logging.root.manager.disable == logging.INFO, "what others have set stays"
    finally:
        logging.disable(logging.NOTSET)
    wanted = encoder.encode(TEXTS)
    assert np.allclose(found["ONNX"].encode(TEXTS), wanted, atol=1e-5)
    cosine = (found["int8"].encode(TEXTS) * wanted).sum(axis=1)
    assert 0.98 < cosine.min() < 0.99999
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "ONNX.onnx").stat().st_size / 3


# --- A table ----------------------------------------------------------------------------------------------------------


def test_a_text_of_one_token_is_its_row(encoder):
    table = distillation.StaticTable(encoder, TEXTS)
    assert np.allclose(table.encode(["shark"]).detach().numpy(), encoder.encode(["shark"]), atol=1e-6)


def test_a_text_is_the_weighted_sum_of_its_tokens(encoder):
    table = distillation.StaticTable(encoder, ["shark shark ghost", "ghost"])
    shark, ghost = encoder.encode(["shark", "ghost"])
    # Of two texts one holds the shark, both the ghost.
    summed = 2 * np.log(1 + 2 / 1) * shark + np.log(1 + 2 / 2) * ghost
    found = table.encode(["ghost, shark and shark", "zebra"]).detach().numpy()
    assert np.allclose(found[0], summed / np.linalg.norm(summed), atol=1e-6)
    assert np.array_equal(found[1], np.zeros(32))


def test_a_table_reads_whole_texts_however_the_tokenizer_is_set(encoder):
    expected = distillation.StaticTable(encoder, TEXTS).encode(TEXTS).detach()
    tokenizer = encoder.tokenizer.backend_tokenizer
    tokenizer.enable_padding(length=12)
    tokenizer.enable_truncation(1)
    found = distillation.StaticTable(encoder, TEXTS).encode(TEXTS).detach()
    assert torch.equal(found, expected)


def test_a_table_learns_its_teacher_in_closed_form(encoder):
    texts = [f"{a} {b}" for a, b in pairwise(WORDS)]
    table, untaught = (distillation.StaticTable(encoder, texts) for _ in range(2))
    wanted = encoder.encode(texts)
    assert not np.allclose(table.encode(texts).detach().numpy(), wanted, atol=1e-2)
    table.learn(texts, wanted, 1e-6)
    assert np.allclose(table.encode(texts).detach().numpy(), wanted, atol=1e-2)
    table.learn(texts, wanted, 1e9)
    assert np.allclose(table.encode(texts).detach(), untaught.encode(texts).detach(), atol=1e-4)


def test_a_table_over_fits_sixteen_examples(encoder):
    texts = [*WORDS, "shark ghost", "war train", "love king", "piano robot"]
    table, wanted = distillation.StaticTable(encoder, texts), torch.eye(16)
    loss = lambda rows: distillation.kernel_loss(table.encode([texts[row] for row in rows]), wanted[rows])  # noqa: E731
    before = loss(ROWS).item()
    finetuning.fit(table.model, loss, lambda _: [ROWS], epochs=60, lr=3e-2)
    # A word and a pair that holds it can be told apart only so far.
    assert loss(ROWS).item() < before / 10


def test_gradients_reach_the_rows_of_the_batch_alone(encoder):
    table = distillation.StaticTable(encoder, ["shark", "ghost"])
    table.encode(["shark and zebra"])[0, 0].backward()
    moved = table.model.weight.grad.abs().sum(dim=1) > 0
    assert moved.sum() == 1 and not moved[-1]


def test_a_table_refuses_texts_without_tokens_and_vectors_of_another_width(encoder):
    with pytest.raises(ColdstartError, match="at least one token"):
        distillation.StaticTable(encoder, ["", " "])
    with pytest.raises(ColdstartError, match=r"expected vectors of shape \(16, 32\), got \(16, 5\)"):
        distillation.StaticTable(encoder, TEXTS).learn(TEXTS, np.zeros((16, 5)), 1.0)
