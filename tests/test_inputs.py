"""Parameters, places and model inputs that cannot be used are told in one sentence, before anything is done."""

import logging
import re
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from typer.testing import CliRunner

from coldstart_utils.book import cli, plotting, run
from coldstart_utils.book.parameters import RULES, check
from coldstart_utils.book.record import setup, tell
from coldstart_utils.catalogue import splits
from coldstart_utils.catalogue.matrices import places
from coldstart_utils.ground import ColdstartError, written_aside
from coldstart_utils.language import kept
from coldstart_utils.language.context import tfidf
from coldstart_utils.language.distillation import StaticTable, distillation_loss, kernel_loss
from coldstart_utils.language.encoders import TextEncoder, checked, model_path
from coldstart_utils.language.finetuning import fit
from coldstart_utils.language.search import WordIndex
from coldstart_utils.language.towers import bridge_loss
from coldstart_utils.measure import metrics, ranking, study
from coldstart_utils.models import als, content, likeness, longtail, summed
from coldstart_utils.models.evidence import posterior
from coldstart_utils.models.scores import rank_of
from coldstart_utils.models.transfer import LateFusion, Transfer
from coldstart_utils.palette import png

ROOT = Path(__file__).parents[1]
WRONG = {
    "TOP_K": [0, -5, 2.5, "twenty", True, None],
    "SEED": [-1, 99_999_999_999, 1.0, "x"],
    "BUDGET": [-1, 0, 1, 2, "x"],
    "MOST_ITEMS": [0, -1, 3.5],
    "TRIALS": [0, "many"],
    "SHOTS": [[], [0], [1.5], "five", 5],
    "QUICK": [1, "yes"],
    "LONG": ["no"],
    "DATASET": [3, "", None],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_parameter_that_no_chapter_could_use_is_told(name, value):
    with pytest.raises(ColdstartError, match=f"parameter {name}: expected .*, got "):
        check({name: value})


def test_the_defaults_of_every_chapter_are_allowed():
    for path in run.find_notebooks(ROOT):
        parameters = {name: run.parse_value(text) for name, text in run.parameters_of(path).items()}
        assert {"DATASET", "SEED", "TOP_K", "QUICK"} <= set(parameters) & set(RULES), path.stem
        check(parameters)


@pytest.mark.parametrize(
    "name, value", [("TOP_K", "twenty"), ("TOP_K", "0"), ("SEED", "99999999999"), ("MOST_ITEMS", "0")]
)
def test_the_command_tells_it_before_anything_runs(monkeypatch, name, value):
    monkeypatch.setattr(run, "ProcessPoolExecutor", None)
    outcome = CliRunner().invoke(cli.app, ["run", "05", "-p", name, value])
    assert outcome.exit_code == 1 and outcome.output.startswith(f"coldstart: parameter {name}: expected")


def test_a_chapter_tells_it_in_its_first_cell():
    with pytest.raises(ColdstartError, match="parameter TOP_K: expected a whole number of 1 or more, got 0"):
        setup("x", seed=0, quick=True, TOP_K=0)


# --- Places ----------------------------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_written_is_told():
    with (
        pytest.raises(ColdstartError, match="/proc/here/file: cannot be written"),
        written_aside(Path("/proc/here/file")),
    ):
        pass


def test_a_series_whose_build_cannot_be_written_does_not_begin(tmp_path):
    (tmp_path / "build").write_text("in the way")
    with pytest.raises(ColdstartError, match=r"build.* cannot be written"):
        run.run_series(tmp_path, [])


@pytest.fixture
def computed(monkeypatch):
    """The texts that were computed, by the counts of two letters in the place of a model."""
    texts = []

    def count(self, missing, batch_size):
        texts.extend(missing)
        yield range(len(missing)), np.array([[text.count("e"), text.count("r")] for text in missing], np.float32)

    monkeypatch.setattr(TextEncoder, "_encoded", count)
    return texts


def test_without_a_cache_vectors_are_computed_and_it_is_said(monkeypatch, caplog, computed):
    monkeypatch.setenv("COLDSTART_CACHE", "/proc/nowhere")
    kept._not_kept.cache_clear()
    encoder = TextEncoder()
    assert encoder.encode(["a letter"]).tolist() == encoder.encode(["a letter"]).tolist() == [[2, 1]]
    assert computed == ["a letter", "a letter"]
    assert caplog.text.count("cannot be written") == 1 and "not kept" in caplog.text


def test_a_cache_of_somebody_else_is_read_and_not_told_to_be_deleted(tmp_path, monkeypatch, caplog, computed):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    encoder = TextEncoder()
    first = encoder.encode(["a letter"])

    connect = sqlite3.connect
    monkeypatch.setattr(kept.sqlite3, "connect", lambda path, timeout: connect(f"file:{path}?mode=ro", uri=True))
    kept._not_kept.cache_clear()
    both = encoder.encode(["a letter", "a river"])
    assert both.tolist() == [*first.tolist(), [1, 2]] and computed == ["a letter", "a river"]
    assert "readonly" in caplog.text and "delete" not in caplog.text


def test_where_home_cannot_be_written_kernels_get_a_place(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("JUPYTER_RUNTIME_DIR", raising=False)
    environment = run.kernel_environment(1, None)
    assert Path(environment["JUPYTER_RUNTIME_DIR"]).parent.is_dir()
    assert "/proc/nowhere cannot be written" in capsys.readouterr().err
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "IPYTHONDIR" not in run.kernel_environment(1, None)


# --- What models are given -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1, 2, -3, 2.5, True])
def test_a_length_that_leaves_no_text_is_refused(most):
    with pytest.raises(ColdstartError, match="max_tokens: expected a whole number of 3 or more"):
        TextEncoder(max_tokens=most)


def test_a_length_beyond_the_model_is_refused():
    with pytest.raises(ColdstartError, match="reads at most 512 tokens, got 513"):
        TextEncoder(max_tokens=513, cache=False).encode(["a letter"])


def test_a_path_is_a_model_folder():
    folder = Path(model_path("all-MiniLM-L6-v2"))
    assert TextEncoder(folder).encode(["a letter"]).shape == (1, 384)


@pytest.mark.parametrize("wrong", [None, float("nan"), 3])
def test_what_is_no_text_is_told_with_its_place(wrong):
    for reader in (checked, tfidf, TextEncoder().encode, lambda texts: StaticTable(TextEncoder(), texts)):
        with pytest.raises(ColdstartError, match=r"text 1: expected a string, got .* \(2 such texts\)"):
            reader(["a", wrong, wrong])


def test_texts_without_a_word_are_zeros():
    assert tfidf(["?!", "", "…"]).toarray().tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [-100, -100], [0.5, 1.0]])
def test_labels_that_are_no_class_are_told(labels):
    logits = torch.zeros(2, 3)
    with pytest.raises(ColdstartError, match="labels: expected whole numbers of 0 to 2"):
        distillation_loss(logits, logits, torch.tensor(labels), 2.0, 0.5)


def test_texts_and_targets_that_are_all_alike_leave_the_losses_finite():
    Z = torch.ones(4, 3) / 3**0.5
    assert torch.isfinite(kernel_loss(Z, Z))
    assert torch.isfinite(bridge_loss(lambda rows: Z[rows], np.zeros((4, 2)))(np.arange(4)))
    with pytest.raises(ColdstartError, match="two items or more"):
        bridge_loss(lambda rows: Z[rows], np.zeros((4, 2)))(np.arange(1))


def test_a_training_is_not_resumed_with_other_settings(tmp_path):
    def train(**options):
        line = torch.nn.Linear(2, 1)
        settings = {"epochs": 2, "lr": 0.05, "seed": 1} | options
        return fit(line, lambda rows: (line(torch.ones(3, 2)) ** 2).mean(), lambda epoch: range(3),
                   checkpoint=tmp_path / "line", **settings)  # fmt: skip

    train()
    assert len(train()) == 3  # finished, and with the same settings nothing is done anew
    for other, said in (({"lr": 0.5}, "rates"), ({"seed": 2}, "seed"), ({"epochs": 5}, "steps")):
        with pytest.raises(ColdstartError, match=f"begun with {said} .*, not "):
            train(**other)


def test_nothing_measured_is_told_as_such():
    nothing = pd.DataFrame({"model": [], "fold": [], "user": [], "ndcg": []})
    with pytest.raises(ColdstartError, match="baseline 'EASE': expected one of those measured: none"):
        study.compare(nothing, "EASE")


# --- Dollars ---------------------------------------------------------------------------------------------------------

DOLLARS = ["Cost $_{x $ Rise", "Half^2$ of $_", "$5 a Day", "A$AP & K$ha"]


def test_a_dollar_in_a_name_is_a_dollar_in_every_figure():
    frame = pd.DataFrame({"model": DOLLARS, "mean": [1.0, 2, 3, 4], "low": 0.5, "high": 4.5, "x": [1.0, 10, 100, 1000]})
    for figure in (
        plotting.bars(frame, title=DOLLARS[0], xlabel=DOLLARS[1]),
        plotting.intervals(frame, title=DOLLARS[0], xlabel=DOLLARS[1]),
        plotting.trade_off(frame, x="x", title=DOLLARS[0], xlabel=DOLLARS[1], ylabel="y", logx=True),
        plotting.table(pd.DataFrame(np.eye(4), DOLLARS, DOLLARS), title=DOLLARS[0], label="cosine"),
        plotting.ranked(pd.DataFrame({"a": DOLLARS}), title=DOLLARS[0]),
    ):
        assert png(figure).startswith(b"\x89PNG")


def test_formulas_are_for_figures_that_ask_for_them():
    figure = plotting.bars(pd.DataFrame({"model": ["$x_i$"], "mean": [1.0]}), title="")
    assert png(figure) != png(figure, formulas=True)


def test_a_sentence_and_a_table_leave_dollars_alone(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda told: shown.append(told.data))
    setup("x", seed=0, quick=True)
    tell("from $5 a Day to Half^2$")
    assert shown == [r"from \$5 a Day to Half^2\$"]
    assert "tex2jax_ignore" in pd.DataFrame({"title": DOLLARS})._repr_html_()


def test_a_list_longer_than_the_candidates_is_said(caplog):
    X = np.ones((6, 8)) * (np.arange(8) % 3 < 2)
    ranking._say_that_all_are_ranked.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            ranking.evaluate({"": ranking.from_matrix(X)}, splits.cold_items(X, 0, fraction=0.5), k=77)
    assert caplog.text.count("lists of 77 are asked for") == 1


def test_weights_of_blocks_are_checked():
    transfer = Transfer({"genres": np.eye(3, dtype=np.float32), "year": np.eye(3, dtype=np.float32)})
    assert transfer.kernel(genres=5.0)[0, 0] == 6
    with pytest.raises(ColdstartError, match="expected weights of genres, year, got one of 'genre'"):
        transfer.kernel(genre=5.0)
    for weights in ({"a": 1.0, "b": -0.5}, {"a": 0.0}, {}):
        with pytest.raises(ColdstartError, match="weights: expected numbers of 0 or more"):
            likeness.shares(weights)
    with pytest.raises(ColdstartError, match="join: expected one of sum, max, got 'mean'"):
        LateFusion({}, join="mean")


@pytest.mark.parametrize("index", [[True, False, True], np.zeros(0, bool), [5], [-1], [0.5]])
def test_places_are_row_numbers_or_a_mask_of_all(index):
    assert places([True, False, True, False, False], 5).tolist() == [0, 2] and places([], 5).tolist() == []
    with pytest.raises(ColdstartError, match="items: expected row numbers of 0 to 4, or a mask of 5"):
        places(index, 5)


HALF = sparse.csr_matrix(np.array([[1.0, 0, 1], [0, 1, 0], [1, 1, 0]]))
FALSE = {
    "sweeps": (lambda: als.als_implicit(HALF, rank=1, reg=1.0, sweeps=-1), "sweeps: expected 0 or more"),
    "rows": (lambda: content.content_kernel([np.ones((3, 2)), np.ones((1, 2))]), "one row an item, got [3, 1]"),
    "columns": (
        lambda: content.neighbour_scores(HALF[:, :2], np.eye(3), np.array([0, 1]), np.array([2]), 1),
        "expected interactions with 3 items, got 2 columns",
    ),
    "negative covariance": (
        lambda: posterior(HALF, np.ones((3, 2)), np.zeros((3, 2)), -np.eye(2), noise=1.0),
        "positive definite covariance",
    ),
    "uneven covariance": (
        lambda: posterior(HALF, np.ones((3, 2)), np.zeros((3, 2)), np.array([[1, 0.5], [0, 1]]), noise=1.0),
        "symmetric covariance",
    ),
    "rank of NaN": (lambda: rank_of(np.array([[np.nan, 1.0]]), np.array([0])), "found NaN"),
    "propensity": (lambda: longtail.inverse_propensity(np.array([-3.0, 2]), 0.5), "numbers of 0 or more"),
    "number": (lambda: longtail.effective_number(np.array([-3.0, 2]), 0.5), "numbers of 0 or more"),
    "k of a list": (lambda: splits.k_shot_users(HALF, 0, k=1.5), "got 1.5; k is a whole number"),
    "a count of relevant items": (
        lambda: metrics.recall_at_k(np.ones((1, 3)), np.array([1, 2, 3]), 2),
        "expected 1 numbers of 0 or more",
    ),
    "shapes": (lambda: metrics.auc(np.ones((2, 3)), np.ones((1, 3))), "expected relevant of the shape (2, 3)"),
    "exposure": (lambda: metrics.gini([-1, 2, 3]), "exposures of 0 or more"),
    "k1": (lambda: WordIndex(["a boat"], k1=-1.0), "k1 of 0 or more and b of 0 to 1, got -1.0 and 0.75"),
    "features": (lambda: summed.ridge_from(np.eye(4), 3, 1.0), "expected 1 to 2 features of 4 moments, got 3"),
}


@pytest.mark.parametrize("ask, told", FALSE.values(), ids=FALSE)
def test_what_would_give_false_numbers_is_refused(ask, told):
    with pytest.raises(ColdstartError, match=re.escape(told)):
        ask()
