"""What wrote the sentences and scores of the small model, on a tiny random decoder in its place."""

import runpy

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.catalogue import movielens
from coldstart_utils.ground import package_file
from coldstart_utils.language.encoders import TextEncoder

HISTORY = ["Alien", "Star Wars", "Heat"]
FILMS = ["Toy Story (1995). Animation.", "Big", "The Silence of the Lambs (1991). Drama, Thriller."]


@pytest.fixture(scope="module")
def generator():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = object.__new__(runpy.run_path(str(package_file("smollm2.py")))["Generator"])
    made.tokenizer = TextEncoder().tokenizer
    made.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    made.tokenizer.chat_template = "user: {{ messages[0]['content'] }} answer:"
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    made.model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(made.tokenizer), initializer_range=0.5, bos_token_id=None, eos_token_id=None, **size)
    ).eval()
    return made


def log_p(generator, text):
    """Return the log-probabilities after every token of one text read alone, and its tokens."""
    import torch

    ids = generator.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        return generator.model(ids).logits[0].log_softmax(-1), ids[0]


def test_a_verdict_is_that_of_the_whole_question_read_alone(generator):
    verdicts = generator.verdict(HISTORY, FILMS)
    yes, no = (generator.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    for film, verdict in zip(FILMS, verdicts):
        question = (
            f"Someone likes these films: {'; '.join(HISTORY)}. Would they like this film: {film} Answer Yes or No."
        )
        last = log_p(generator, generator.chat(question))[0][-1]
        assert np.isclose(verdict, last[yes] - last[no], rtol=1e-3, atol=1e-5)
    assert np.std(verdicts) > 0.01


@pytest.mark.parametrize("history", [HISTORY, []])
def test_a_likelihood_is_that_of_the_title_in_its_list(generator, history):
    start = "Films that one person likes"
    for film, found in zip(FILMS, generator.likelihood(history, FILMS)):
        listed = f"{start}: {'; '.join([*history, film])}"
        after, ids = log_p(generator, listed)
        n = len(generator.tokenizer(film, add_special_tokens=False)["input_ids"])
        assert np.isclose(found, sum(after[-n - 1 : -1][k, ids[-n:][k]] for k in range(n)), rtol=1e-3)


def test_answers_come_in_the_order_of_the_questions(generator):
    together, alone = generator.write(FILMS), [generator.write([film])[0] for film in FILMS]
    assert together == alone and len(set(alone)) == len(FILMS)


def test_scores_stand_in_the_order_of_the_pairs_and_a_film_alone_has_one(generator):
    pairs = pd.DataFrame({"user": [7, 7, 3], "item": [2, 0, 2]})
    scores = generator.scores(pairs, {7: [1], 3: [0, 1]}, FILMS, ["Toy Story", "Big", "The Silence of the Lambs"])
    assert scores["verdict, film alone"][0] == scores["verdict, film alone"][2]
    assert np.isclose(scores["verdict"][1], generator.verdict(["Big"], FILMS[:1])[0], rtol=1e-3)
    assert np.isclose(
        scores["likelihood"][2], generator.likelihood(["Toy Story", "Big"], ["The Silence of the Lambs"])[0]
    )


def test_what_is_kept_is_read_back_as_the_package_reads_it(generator, tmp_path, monkeypatch):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path / "none yet"))
    monkeypatch.setattr(movielens, "package_file", lambda name: tmp_path / "none yet" / name)
    table = pd.DataFrame({"item_id": ["1", "2"], "sentences": ['A "quoted" word', "It's, well, one"]})
    generator.keep(table, "shop-smollm2")
    pd.testing.assert_frame_equal(movielens.package_table("shop-smollm2"), table)
