"""encoders: vectors are the plain model's whatever the batch, the cache never lies, faults are one sentence."""

import logging
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.encoders import TextEncoder, model_path, pool

TEXTS = [
    "A spaceship crew fights an alien creature",
    "Love",
    "Two detectives hunt a serial killer through a rainy city while their captain counts the days to his pension",
    "",
    "Heat (1995). Crime, Drama.",
    "Astronauts are hunted by a monster from outer space",
    "A gentle romantic comedy about a bakery",
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of its own for each test."""
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vectors.sqlite"


@pytest.fixture(scope="module")
def loaded():
    """The model and its tokenizer, loaded once, on one thread: for a handful of short texts more of them only wait."""
    import torch

    encoder, threads = TextEncoder(cache=False), torch.get_num_threads()
    torch.set_num_threads(1)
    yield encoder.tokenizer, encoder.model
    torch.set_num_threads(threads)


@pytest.fixture
def make(loaded):
    """Return make(**options) → a TextEncoder that shares the loaded model."""

    def encoder(**options):
        made = TextEncoder(**options)
        made.__dict__["tokenizer"], made.__dict__["model"] = loaded
        return made

    return encoder


def refuse(self, texts, batch_size):
    raise AssertionError(f"the model was called for {texts}")


# --- Pooling ---------------------------------------------------------------------------------------------------------

HIDDEN = np.array([[[1, -4], [3, -2], [99, 99]], [[5, 1], [7, 3], [0, -1]]], np.float32)
MASK = np.array([[1, 1, 0], [1, 1, 1]])
POOLED = {"mean": [[2, -3], [4, 1]], "cls": [[1, -4], [5, 1]], "max": [[3, -2], [7, 3]]}


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("how", POOLED)
def test_pooling_leaves_padding_out(how, kind):
    import torch

    hidden, mask = (HIDDEN, MASK) if kind == "numpy" else (torch.from_numpy(HIDDEN), torch.from_numpy(MASK))
    np.testing.assert_allclose(np.asarray(pool(hidden, mask, how)), POOLED[how], rtol=1e-6)


def test_the_maximum_of_negative_numbers_is_not_the_padding():
    assert pool(-HIDDEN, MASK, "max").tolist() == [[-1, 4], [0, 1]]


# --- Vectors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_equal_the_plain_forward_pass(make, loaded, pooling, normalize):
    import torch

    tokenizer, model = loaded
    expected = []
    for text in TEXTS:
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        vector = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0)}[pooling]
        expected.append(vector / np.linalg.norm(vector) if normalize else vector)
    vectors = make(pooling=pooling, normalize=normalize, cache=False).encode(TEXTS)
    assert vectors.dtype == np.float32 and vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def alone(loaded):
    """The vector of each text, read by itself."""
    encoder = TextEncoder(cache=False)
    encoder.tokenizer, encoder.model = loaded
    return np.concatenate([encoder.encode([text]) for text in TEXTS])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
@pytest.mark.parametrize("cache", [True, False])
def test_neither_batch_nor_order_changes_a_vector(make, alone, batch_size, cache):
    encoder = make(cache=cache)
    together = encoder.encode(TEXTS, batch_size=batch_size)
    backwards = encoder.encode(TEXTS[::-1], batch_size=batch_size)[::-1]
    assert (alone * together).sum(1).min() > 0.9999
    assert (alone * backwards).sum(1).min() > 0.9999


def test_vectors_have_unit_length(make):
    np.testing.assert_allclose(np.linalg.norm(make().encode(TEXTS), axis=1), 1, rtol=1e-6)
    assert np.linalg.norm(make(normalize=False).encode(TEXTS), axis=1).min() > 1.5


def test_related_texts_are_nearer(make):
    space, love, crime, _, _, space_too, comedy = make().encode(TEXTS)
    assert space @ space_too > 0.5
    assert space @ space_too > max(space @ love, space @ crime, space @ comedy, space_too @ comedy) + 0.2


def test_a_text_given_twice_has_one_vector(make):
    first, other, second = make().encode(["Heat", "Love", "Heat"])
    np.testing.assert_array_equal(first, second)
    assert first @ other < 0.9


def test_truncation_is_said(make, caplog):
    encoder = make(max_tokens=8)
    with caplog.at_level(logging.WARNING, logger="coldstart"):
        encoder.encode(["Heat", "Love"])
        assert caplog.records == []
        head = "one two three four five six"
        cut, whole = encoder.encode([head + " seven eight nine ten", head])
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("2 of 2 texts reach 8 tokens") and "cut off" in said
    np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-6)


def test_truncation_is_said_of_vectors_from_the_cache_as_well(make, caplog, monkeypatch):
    texts = ["one two three four five six seven eight", "Love", "one two three four five six seven eight"]
    make(max_tokens=8).encode(texts)
    monkeypatch.setattr(TextEncoder, "_encoded", refuse)
    caplog.clear()
    make(max_tokens=8).encode(texts)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("2 of 3 texts reach 8 tokens")


# --- The cache -------------------------------------------------------------------------------------------------------


def test_what_is_cached_is_not_computed_again(make, monkeypatch):
    first = make().encode(TEXTS)
    monkeypatch.setattr(TextEncoder, "_encoded", refuse)
    np.testing.assert_array_equal(make().encode(TEXTS[::-1])[::-1], first)
    with pytest.raises(AssertionError, match="called"):
        make(cache=False).encode(TEXTS)


def test_only_what_is_missing_is_computed(make, monkeypatch):
    make().encode(TEXTS[:3])
    asked = []
    original = TextEncoder._encoded
    monkeypatch.setattr(
        TextEncoder, "_encoded", lambda self, texts, size: asked.extend(texts) or original(self, texts, size)
    )
    make().encode([*TEXTS[:4], TEXTS[3]])
    assert asked == [TEXTS[3]]


@pytest.mark.parametrize("other", [{"pooling": "cls"}, {"normalize": False}, {"max_tokens": 4}, {"backend": "onnx"}])
def test_other_settings_find_no_vectors(make, monkeypatch, other):
    make().encode(["Heat"])
    monkeypatch.setattr(TextEncoder, "_encoded", refuse)
    with pytest.raises(AssertionError, match="called"):
        make(**other).encode(["Heat"])


@pytest.mark.parametrize("place", [0.3, 0.6, 0.97])
def test_another_model_under_the_same_name_finds_no_vectors(tmp_path, monkeypatch, place):
    # Fine-tuning may change a few weights only, and leaves the pooler at the file's end as it was.
    folder = shutil.copytree(model_path("all-MiniLM-L6-v2"), tmp_path / "model")
    TextEncoder(str(folder)).encode(["Heat"])
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(int(place * file.seek(0, 2)))
        file.write(b"\x00\x00\x80\x3f")
    monkeypatch.setattr(TextEncoder, "_encoded", refuse)
    with pytest.raises(AssertionError, match="called"):
        TextEncoder(str(folder)).encode(["Heat"])


@pytest.mark.parametrize("changed", ["pytorch_model.bin", "tokenizer.json", "vocab.txt", "config.json"])
def test_older_weights_and_the_tokenizer_belong_to_a_models_identity(tmp_path, changed):
    for name in ("pytorch_model.bin", "tokenizer.json", "vocab.txt", "config.json", changed):
        (tmp_path / name).write_text("before")
    before = TextEncoder(str(tmp_path))._fingerprint
    assert TextEncoder(str(tmp_path))._fingerprint == before
    (tmp_path / changed).write_text("after")
    assert TextEncoder(str(tmp_path))._fingerprint != before


def test_another_revision_of_a_hub_model_finds_no_vectors(monkeypatch):
    import transformers

    revisions = iter("aab")
    monkeypatch.setattr(
        transformers.AutoConfig, "from_pretrained", lambda _: SimpleNamespace(_commit_hash=next(revisions))
    )
    first, again, newer = (TextEncoder("someone/bert")._fingerprint for _ in range(3))
    assert first == again != newer


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"this is no data base, " * 100,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:4096] + b"\xff" * (len(whole) - 4096),
    ],
    ids=["no data base", "cut in half", "overwritten"],
)
def test_a_corrupt_cache_is_one_clear_error(make, cache, damage):
    vectors = np.ones((40, 384), np.float32)
    encoder = make()
    encoder._encoded = lambda texts, batch_size: [(range(len(texts)), vectors[: len(texts)])]
    texts = [f"film {i}" for i in range(40)]
    encoder.encode(texts)
    damaged = damage(cache.read_bytes())
    cache.write_bytes(damaged)
    with pytest.raises(ColdstartError, match=r"vectors\.sqlite: the vector cache cannot be read.*delete this file"):
        encoder.encode(texts)
    assert cache.read_bytes() == damaged


def test_an_interrupted_encode_leaves_the_cache_as_it_was(make, cache, monkeypatch):
    make().encode(TEXTS[:2])
    before = rows(cache)

    def stop(batch):
        raise KeyboardInterrupt

    encoder = make()
    encoder.__dict__["_forward"] = stop
    with pytest.raises(KeyboardInterrupt):
        encoder.encode(TEXTS)
    assert rows(cache) == before and len(before) == 2


def test_what_was_encoded_before_a_stop_is_kept(make, cache):
    encoder, texts = make(), [f"film {'very ' * n}good" for n in range(12)]
    forward = encoder._forward
    begun = []

    def stopped(batch):
        if begun:
            raise KeyboardInterrupt
        begun.append(1)
        return forward(batch)

    encoder.__dict__["_forward"] = stopped
    with pytest.raises(KeyboardInterrupt):
        encoder.encode(texts, batch_size=1)
    done = len(rows(cache))
    assert 0 < done < len(texts)
    asked, again = [], make()
    again.__dict__["_forward"] = lambda batch: asked.extend(batch["input_ids"]) or forward(batch)
    np.testing.assert_allclose(again.encode(texts), make(cache=False).encode(texts), atol=1e-5)
    assert len(asked) == len(texts) - done


def test_an_interrupted_write_leaves_the_cache_as_it_was(make, cache, monkeypatch):
    make().encode(TEXTS[:2])
    before = rows(cache)

    class Unstorable:
        def tobytes(self):
            return object()

    encoder = make()
    encoder._encoded = lambda texts, batch_size: [(range(2), [np.ones(384, np.float32), Unstorable()])]
    with pytest.raises(ColdstartError):
        encoder.encode(["new", "newer"])
    assert rows(cache) == before


def rows(path):
    with sqlite3.connect(path) as store:
        return sorted(store.execute("SELECT key, vector FROM vectors"))


# --- Faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts, message",
    [
        ([], "at least one text"),
        (["a", None], "text 1: expected a string, got None"),
        (["a", "b", 3.5], "text 2: expected a string, got 3.5"),
        ("Heat", "a list of texts, got the one string 'Heat'"),
    ],
)
def test_what_is_no_text_is_refused(make, texts, message):
    with pytest.raises(ColdstartError, match=message):
        make().encode(texts)


@pytest.mark.parametrize(
    "options, message", [({"pooling": "sum"}, "mean, cls, max, got 'sum'"), ({"backend": "jax"}, "'jax'")]
)
def test_unknown_settings_are_refused(options, message):
    with pytest.raises(ColdstartError, match=message):
        TextEncoder(**options)


@pytest.mark.parametrize("name", ["no-such/model", "no-such-model"])
def test_an_unknown_model_offline_is_one_sentence(name):
    with pytest.raises(
        ColdstartError, match=f"model '{name}': expected all-MiniLM-L6-v2 .* folder, or a hub name"
    ) as caught:
        TextEncoder(name).encode(["Heat"])
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    with pytest.raises(ColdstartError, match=f"model '{tmp_path}': expected"):
        TextEncoder(str(tmp_path)).encode(["Heat"])


def test_the_default_model_is_the_installed_one():
    assert (Path(model_path("all-MiniLM-L6-v2")) / "config.json").is_file()
    assert model_path("bert-base-uncased") == "bert-base-uncased"


@pytest.fixture(scope="module")
def first_layer(loaded, tmp_path_factory):
    """A folder with the installed model cut to its first layer: one is exported like six, in less time."""
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("first_layer")
    AutoModel.from_pretrained(model_path("all-MiniLM-L6-v2"), num_hidden_layers=1).save_pretrained(folder)
    loaded[0].save_pretrained(folder)
    return folder


def test_the_exported_graph_says_what_the_model_says(first_layer, tmp_path):
    plain = TextEncoder(first_layer, cache=False)
    exported = TextEncoder(first_layer, cache=False, backend="onnx")
    np.testing.assert_allclose(exported.encode(TEXTS), plain.encode(TEXTS), atol=1e-5, rtol=0)
    # Single texts are read by the same graph, in a process that never imports PyTorch.
    code = "import sys; from coldstart_utils.language import encoders; import numpy as np; " + (
        "encoder = encoders.quick(encoders.TextEncoder(sys.argv[3])); "
        "np.save(sys.argv[2], encoder.encode(eval(sys.argv[1]))); assert 'torch' not in sys.modules"
    )
    texts = [*TEXTS, "ä 中文 <b>x</b> & 1,000", "long " * 400, "[MASK] don't [SEP]"]
    subprocess.run([sys.executable, "-c", code, repr(texts), tmp_path / "quick.npy", first_layer], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "quick.npy"), plain.encode(texts), atol=1e-5, rtol=0)
