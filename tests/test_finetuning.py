"""finetuning and towers: pairs that refuse nonsense, one loop that resumes, an item tower with the right gradients."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import finetuning
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.finetuning import RecommendationDataset, fit
from coldstart_utils.language.towers import (
    ItemTower,
    add_adapter,
    bridge_loss,
    info_nce_loss,
    leave_one_out,
    shuffled,
)
from coldstart_utils.models import content

WORDS = ["space", "shark", "love", "war", "piano", "desert", "train", "detective", "ghost", "dancer", "king", "robot"]
TEXTS = [f"a film about a {a} and a {b}" + " again" * (n % 5) for n, (a, b) in enumerate(zip(WORDS, WORDS[::-1]))]


def small(layers=2, seed=0):
    torch.manual_seed(seed)
    return BertConfig(vocab_size=30522, hidden_size=32, num_hidden_layers=layers, num_attention_heads=2,
                      intermediate_size=64, hidden_dropout_prob=0.1)  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    """A small random BERT with the real tokenizer."""
    real, config = TextEncoder(), small()
    return SimpleNamespace(
        name="small", model=BertModel(config).eval(), tokenizer=real.tokenizer, pooling="mean", max_tokens=32
    )


def weights(model):
    return {name: own.detach().clone() for name, own in model.named_parameters()}


def changed(model, before):
    return {name for name, own in model.named_parameters() if not torch.equal(own, before[name])}


# --- Pairs ------------------------------------------------------------------------------------------------------------


def test_a_batch_is_padded_to_its_longest_and_masked(encoder):
    data = RecommendationDataset([("an old man", "a war film"), ("a child", "a very long film about a shark")], [0, 1],
                                 encoder.tokenizer)  # fmt: skip
    batch = data.collate([data[0], data[1]])
    expected = encoder.tokenizer(
        ["an old man", "a child"], ["a war film", "a very long film about a shark"], padding=True
    )
    assert batch["input_ids"].tolist() == expected["input_ids"]
    assert batch["attention_mask"].tolist() == expected["attention_mask"]
    assert batch["labels"].dtype == torch.int64 and batch["labels"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        (["a", "b"], [0, 2], "label 1: expected 0 or 1"),
        (["a", " "], [0, 1], "none in text 1"),
        ([("a", "b"), ("", "b")], [0, 1], "none in text 1"),
        ([], [], "none in all"),
        (["a", "b"], [1, 1], "expected both 0 and 1"),
        (["a", "b"], [1], "expected one for each of 2 texts, got 1"),
        (["a", "b"], [0, np.nan], "label 1"),
    ],
)
def test_bad_pairs_are_refused(encoder, texts, labels, told):
    with pytest.raises(ColdstartError, match=told):
        RecommendationDataset(texts, labels, encoder.tokenizer)


def classifier(encoder):
    config = small()
    config.num_labels = 2
    model = BertForSequenceClassification(config)
    data = RecommendationDataset((TEXTS * 2)[:16], [n % 2 for n in range(16)], encoder.tokenizer)
    # Labels that follow the text, or sixteen examples could not be learnt by heart.
    data.labels = np.array([len(ids) % 2 for ids in data.tokens])
    return model, [data.collate([data[n] for n in range(16)])], data


def test_one_step_lowers_the_loss_and_sixteen_examples_are_learnt_by_heart(encoder):
    model, batches, data = classifier(encoder)
    model.eval()
    loss = lambda batch: model(**batch).loss  # noqa: E731
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    first, second = (finetuning.train_epoch(batches, loss, optimizer)[0] for _ in range(2))
    assert second < first
    for _ in range(60):
        finetuning.train_epoch(batches, loss, optimizer)
    labels, chance = finetuning.evaluate(model, batches)
    assert labels.tolist() == data.labels.tolist()
    assert ((chance > 0.5) == labels).all()


def test_evaluation_leaves_the_mode_as_it_was(encoder):
    model, batches, _ = classifier(encoder)
    model.train()
    first, again = (finetuning.evaluate(model, batches)[1] for _ in range(2))
    assert model.training and np.array_equal(first, again)


# --- The loop ---------------------------------------------------------------------------------------------------------


class Line(torch.nn.Module):
    """A model with dropout, so that an unseeded pass would show."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer, self.frozen = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1).requires_grad_(False)
        self.dropout = torch.nn.Dropout(0.2)

    def forward(self, x):
        return self.layer(self.dropout(x)) + self.frozen(x)


X = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])


def train_line(epochs, **options):
    model = Line()
    loss = lambda rows: ((model(X[rows]) - Y[rows]) ** 2).mean()  # noqa: E731
    history = fit(model, loss, shuffled(np.arange(40), 10, 3), epochs=epochs, lr=0.05, seed=5, **options)
    return model, history


def test_the_same_seed_gives_the_same_weights():
    (one, first), (two, second) = train_line(3), train_line(3)
    assert changed(one, weights(two)) == set()
    assert first.loss.equals(second.loss)


def test_only_what_asks_for_gradients_is_trained():
    model, _ = train_line(2)
    assert changed(model, weights(Line())) == {"layer.weight", "layer.bias"}


def test_a_broken_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole, curve = train_line(4)
    path = tmp_path / "run.safetensors"
    broken = Line()
    seen = []

    def loss(rows):
        seen.append(rows)
        if len(seen) == 11:
            raise KeyboardInterrupt
        return ((broken(X[rows]) - Y[rows]) ** 2).mean()

    with pytest.raises(KeyboardInterrupt):
        fit(broken, loss, shuffled(np.arange(40), 10, 3), epochs=4, lr=0.05, seed=5, checkpoint=path)
    resumed, history = train_line(4, checkpoint=path)
    assert history.loss.to_numpy()[1:] == pytest.approx(curve.loss.to_numpy()[1:], rel=1e-6)
    assert torch.allclose(resumed.layer.weight, whole.layer.weight, rtol=1e-6, atol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run.safetensors"
    model, history = train_line(3, checkpoint=path)
    again, told = train_line(3, checkpoint=path)
    assert changed(model, weights(again)) == set() and told.equals(history)


def test_the_model_ends_at_its_best_epoch():
    worth, seen, model = iter([0.0, 1.0, 3.0, 2.0]), [], Line()

    def dev():
        seen.append(model.layer.weight.detach().clone())
        return next(worth)

    loss = lambda rows: ((model(X[rows]) - Y[rows]) ** 2).mean()  # noqa: E731
    history = fit(model, loss, shuffled(np.arange(40), 10, 3), epochs=3, lr=0.05, dev=dev)
    assert history.dev.tolist() == [0.0, 1.0, 3.0, 2.0]
    assert torch.equal(model.layer.weight, seen[2]) and not torch.equal(seen[2], seen[3])


def test_if_training_only_harms_the_start_is_kept():
    worth = iter([1.0, 0.5, 0.2])
    model, _ = train_line(2, dev=lambda: next(worth))
    assert changed(model, weights(Line())) == set()


def test_steps_are_limited():
    _, history = train_line(5, max_steps=6)
    assert history.step.tolist() == [0, 4, 6]


def test_a_loss_that_is_not_finite_stops_before_the_step_and_keeps_the_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    train_line(1, checkpoint=path, max_steps=4)
    good = path.read_bytes()
    model = Line()
    before = weights(model)
    with pytest.raises(ColdstartError, match="the loss became nan at step 1"):
        fit(model, lambda rows: model(X[rows]).sum() * np.nan, shuffled(np.arange(40), 10, 0), epochs=1, lr=0.1)
    assert changed(model, before) == set()
    assert path.read_bytes() == good


def test_a_file_that_is_no_checkpoint_or_of_another_model_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ColdstartError, match="not a checkpoint"):
        train_line(1, checkpoint=path)
    path.unlink()
    train_line(1, checkpoint=path)
    other = torch.nn.Linear(3, 2)
    with pytest.raises(ColdstartError, match="another model"):
        fit(other, lambda rows: other(X[rows]).sum(), shuffled(np.arange(40), 10, 0), epochs=1, lr=0.1, checkpoint=path)


def test_batches_depend_on_seed_and_epoch_and_cover_every_row():
    rows = np.arange(10, 33)
    batches = shuffled(rows, 8, 0)
    assert sorted(np.concatenate(batches(1))) == rows.tolist()
    assert [b.tolist() for b in batches(1)] == [b.tolist() for b in shuffled(rows, 8, 0)(1)]
    assert np.concatenate(batches(1)).tolist() != np.concatenate(batches(2)).tolist()


def test_losses_can_be_logged_for_tensorboard(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    _, history = train_line(2, log_dir=tmp_path)
    log = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in log.Scalars("loss")] == pytest.approx(history.loss[1:].tolist(), rel=1e-6)


# --- Items ------------------------------------------------------------------------------------------------------------


def test_leave_one_out_is_what_refitting_gives():
    rng = np.random.default_rng(0)
    Z, T = rng.standard_normal((7, 4)), rng.standard_normal((7, 2))
    errors = leave_one_out(torch.from_numpy(Z @ Z.T), torch.from_numpy(T), 0.7).numpy()
    for row in range(7):
        others = np.delete(np.arange(7), row)
        predicted = content.bridge(Z @ Z.T, T[others], others, np.array([row]), 0.7)
        assert errors[row] == pytest.approx((T[row] - predicted)[0], rel=1e-9)


def test_leave_one_out_is_the_twin_of_left_out():
    rng = np.random.default_rng(2)
    Z, T = rng.standard_normal((9, 4)) + 1, rng.standard_normal((9, 3)) + 5
    errors = leave_one_out(torch.from_numpy(Z @ Z.T), torch.from_numpy(T), 0.3).numpy()
    assert errors == pytest.approx(content.left_out(Z @ Z.T, T, np.arange(9), 0.3), rel=1e-9)


def test_vectors_that_say_nothing_miss_what_the_mean_misses():
    targets = np.random.default_rng(3).standard_normal((50, 2)) + 4
    loss = bridge_loss(lambda rows: torch.ones(len(rows), 3), targets)
    assert loss(np.arange(50)).item() == pytest.approx((50 / 49) ** 2, rel=1e-4)


def test_the_gradient_of_the_bridge_loss_agrees_with_finite_differences():
    rng = np.random.default_rng(1)
    Z = torch.from_numpy(rng.standard_normal((6, 3))).requires_grad_()
    T = torch.from_numpy(rng.standard_normal((6, 2)))
    assert torch.autograd.gradcheck(lambda z: (leave_one_out(z @ z.T, T, 0.5) ** 2).sum(), [Z])


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_tower_that_is_not_trained_gives_the_encoders_vectors(encoder, frozen, pooling):
    tower = ItemTower(SimpleNamespace(**{**vars(encoder), "pooling": pooling}), TEXTS, frozen=frozen)
    with torch.no_grad():
        for row, text in enumerate(TEXTS):
            hidden = encoder.model(**encoder.tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            alone = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
            found = tower.encode(np.array([row]))[0]
            assert found.numpy() == pytest.approx((alone / alone.norm()).numpy(), rel=1e-3, abs=1e-5)
        rows = np.array([3, 0, 11, 3])
        assert tower.encode(rows).numpy() == pytest.approx(tower.vectors()[rows], rel=1e-3, abs=1e-5)


def step(tower):
    targets = np.random.default_rng(0).standard_normal((len(TEXTS), 2))
    loss = bridge_loss(tower.encode, targets)
    return fit(tower.model, loss, shuffled(np.arange(len(TEXTS)), len(TEXTS), 0), epochs=8, lr=1e-3)


def test_training_a_tower_lowers_its_loss_and_leaves_frozen_layers_alone(encoder):
    tower = ItemTower(encoder, TEXTS, frozen=1)
    before, untouched = weights(tower.model), weights(encoder.model)
    history = step(tower)
    assert history.loss.iloc[-1] < history.loss.iloc[1]
    moved = changed(tower.model, before)
    assert moved and all(name.startswith("encoder.layer.1.") for name in moved)
    assert changed(encoder.model, untouched) == set()


def test_lora_trains_the_stated_share_and_nothing_else(encoder):
    tower = ItemTower(encoder, TEXTS, frozen=1, lora_rank=4)
    share = [own.numel() for own in tower.model.parameters() if own.requires_grad]
    assert sum(share) == 2 * 2 * 4 * 32  # query and value, two matrices each, of one layer
    before = weights(tower.model)
    assert tower.vectors() == pytest.approx(ItemTower(encoder, TEXTS).vectors(), rel=1e-3, abs=1e-5)
    step(tower)
    assert changed(tower.model, before) and all("lora" in name for name in changed(tower.model, before))


def test_adapters_begin_as_the_identity_and_train_nothing_else(encoder):
    tower = ItemTower(encoder, TEXTS, frozen=1, adapter_width=4)
    share = [own.numel() for own in tower.model.parameters() if own.requires_grad]
    assert sum(share) == 2 * (2 * 4 * 32 + 4 + 32)  # two adapters in one layer, each a map down and a map up
    before, untouched = weights(tower.model), weights(encoder.model)
    assert tower.vectors() == pytest.approx(ItemTower(encoder, TEXTS).vectors(), rel=1e-3, abs=1e-5)
    step(tower)
    assert changed(tower.model, before) and all("adapter" in name for name in changed(tower.model, before))
    assert changed(encoder.model, untouched) == set()


def test_an_adapter_is_the_formula():
    torch.manual_seed(0)
    dense, y = torch.nn.Linear(3, 5), torch.randn(4, 3)
    plain = dense(y)
    add_adapter(dense, 2)
    assert torch.equal(dense(y), plain)
    down, _, up = dense.adapter
    torch.nn.init.normal_(up.weight)
    assert torch.allclose(dense(y), plain + up(torch.nn.functional.gelu(down(plain))))


def test_info_nce_by_hand():
    users, items = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    # Scores over temperature 0.5: [[2, 2], [0, 2]].
    by_hand = (np.log(2) + np.log(1 + np.exp(-2))) / 2
    assert info_nce_loss(users, items, 0.5).item() == pytest.approx(by_hand, rel=1e-6)
    # The first user chose the second item too: it is no negative, and the pair itself stays.
    known = torch.tensor([[1, 1], [0, 1]])
    assert info_nce_loss(users, items, 0.5, known).item() == pytest.approx(np.log(1 + np.exp(-2)) / 2, rel=1e-6)


def test_random_weights_differ_from_pretrained_ones(encoder):
    assert not np.allclose(ItemTower(encoder, TEXTS, pretrained=False).vectors(), ItemTower(encoder, TEXTS).vectors())


def test_bad_towers_are_refused(encoder):
    with pytest.raises(ColdstartError, match="expected 0 to 1 layers, got 2"):
        ItemTower(encoder, TEXTS, frozen=2)
    other = SimpleNamespace(**{**vars(encoder), "model": SimpleNamespace(config=SimpleNamespace(model_type="gpt2"))})
    with pytest.raises(ColdstartError, match="architecture bert, got gpt2"):
        ItemTower(other, TEXTS)
