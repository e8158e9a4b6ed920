"""Committed figures: every picture has its data and its entry, and data that can be computed again in seconds are."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.catalogue import features
from coldstart_utils.measure import ranking, study
from coldstart_utils.models import content, transfer

FIGURES = Path(__file__).parents[1] / "figures"
MANIFEST = json.loads((FIGURES / "manifest.json").read_text(encoding="utf-8"))


# `make screenshots` takes them in a browser; they plot no data of their own.
SCREENSHOTS = {
    f"08_{panel}_{width}{look}"
    for panel in ("item", "user", "policy", "question")
    for width in (1280, 1024, 1920)
    for look in ("", "_dark")
}


# Pictures of an idea are drawn by a program beside them and plot no data either.
IDEAS = {p.stem for p in FIGURES.glob("*_idea.py")}


def test_pictures_data_and_manifest_name_the_same_figures():
    pictures = {p.stem for p in FIGURES.glob("*.png")}
    assert pictures >= IDEAS
    assert pictures - SCREENSHOTS - IDEAS == {p.stem for p in FIGURES.glob("*.csv")} == set(MANIFEST)


@pytest.mark.parametrize("name", sorted(SCREENSHOTS))
def test_a_screenshot_is_as_wide_as_its_window(name):
    picture = (FIGURES / f"{name}.png").read_bytes()
    assert int.from_bytes(picture[16:20], "big") == int(name.split("_")[2])


@pytest.mark.parametrize("name", MANIFEST)
def test_a_figure_is_of_a_full_run_of_a_notebook_that_exists(name):
    entry = MANIFEST[name]
    assert hashlib.sha256((FIGURES / f"{name}.csv").read_bytes()).hexdigest() == entry["data_sha256"]
    assert {"DATASET": "ml-100k", "QUICK": False, "SEED": 0, "TOP_K": 20}.items() <= entry["parameters"].items()
    source = (FIGURES.parent / "notebooks" / f"{entry['notebook']}.ipynb").read_text(encoding="utf-8")
    assert f'\\"{name}\\"' in source
    assert len(entry["alt"]) > 20


def test_the_long_tail_is_that_of_the_data(ml100k):
    committed = pd.read_csv(FIGURES / "00_long_tail.csv")
    np.testing.assert_array_equal(committed["interactions"], np.diff(ml100k.matrix().tocsc().indptr))


def test_the_first_result_comes_out_again(ml100k):
    committed = pd.read_csv(FIGURES / "00_first_result.csv").set_index("model")
    kernels = content.block_kernels({"genres": features.token_features(ml100k, ["genres"])})

    def chance(split):
        return ranking.from_items(np.random.default_rng(split.seed).random(ml100k.n_items))

    def by_genres(split):
        return transfer.Neighbours(kernels).fit(split, neighbours=50)

    folds = study.item_folds(ml100k.matrix(), 5, seed=0)
    results = study.run({"random": study.Arm(chance), "genres": study.Arm(by_genres)}, folds, k=20)
    again = study.compare(results, "random")
    for column in ("mean", "low", "high", "difference", "diff_low", "diff_high"):
        np.testing.assert_allclose(again[column], committed.loc[again.index, column], rtol=1e-3, atol=1e-9)
    assert set(committed["n"]) == {5} and set(committed["unit"]) == {"fold"}
