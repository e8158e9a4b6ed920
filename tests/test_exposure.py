"""Figures of who is shown and who pays: the numbers that they draw."""

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.book import exposure
from coldstart_utils.measure import fronts


def test_lorenz_points_run_from_nothing_to_everything():
    points = exposure.lorenz_points({"equal": np.ones(4), "one": np.array([0, 0, 8, 0])})
    for _, part in points.groupby("model"):
        assert part[["items", "share"]].iloc[0].tolist() == [0, 0]
        assert part[["items", "share"]].iloc[-1].tolist() == [1, 1]
    equal, one = (points[points["model"] == name] for name in ("equal", "one"))
    assert equal["share"].to_numpy() == pytest.approx(equal["items"].to_numpy(), abs=1e-6)
    assert one.loc[one["items"] <= 0.75, "share"].max() == 0 and one["gini"].iloc[0] == 0.75


def test_lorenz_draws_a_curve_for_each_and_the_diagonal():
    figure = exposure.lorenz(exposure.lorenz_points({"a": np.arange(1, 9), "b": np.ones(8)}), title="t", ylabel="y")
    (ax,) = figure.axes
    assert len(ax.lines) == 3 and ax.get_ylim()[1] > 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a, Gini 0.29", "b, Gini 0.00"]


def by_band(shifts):
    """Return a `fronts.by_band` table of five folds: the means of each model in head, middle and tail."""
    random = np.random.default_rng(0)
    rows = [
        (model, fold, user, *random.normal(means, 0.01))
        for model, means in shifts.items()
        for fold in range(5)
        for user in range(20)
    ]
    bands = ["head", "middle", "tail"]
    results = pd.DataFrame(rows, columns=["model", "fold", "user", *(f"recall {band}" for band in bands)])
    return fronts.by_band(results, "ALS", bands)


def test_a_bill_has_a_panel_for_each_band_on_one_scale_sorted_by_the_tail():
    table = by_band({"ALS": (0, 0, 0), "less": (-0.2, 0, 0.2), "more": (-0.5, 0, 0.5)})
    left, _, right = exposure.bill(table, title="t").axes
    assert left.get_xlim() == right.get_xlim()
    assert [label.get_text() for label in left.get_yticklabels()] == ["more", "less"]
    assert left.get_title(loc="left") == "head"


def test_a_bill_in_words_follows_the_table():
    price, quota, text = "1 · price", "1 · quota", "3 · text"
    costly = {"ALS": (0.8, 0.4, 0.1), price: (0.6, 0.2, 0.2), quota: (0.6, 0.2, 0.3), text: (0.8, 0.6, 0.1)}
    told = exposure.bill_told(by_band(costly), price=price, quota=quota)
    assert "**Best for the tail: quota.**" in told and "**Best for the middle: text**" in told
    assert "**Shown to pay for the quota: the head and the middle.**" in told
    assert "25% of what it had" in told and "50% of what it had" in told
    free = costly | {price: (0.8, 0.4, 0.1), quota: (0.9, 0.5, 0.0), text: (0.8, 0.4, 0.6)}
    told = exposure.bill_told(by_band(free), price=price, quota=quota)
    assert "**Best for the tail: text.**" in told and "**Shown to pay for the quota: neither.**" in told


def test_a_front_marks_the_loss_and_the_point():
    points = pd.DataFrame(
        {"model": ["a", "a"], "places": [0.0, 0.5], "difference": [0, -0.1], "diff_low": [0, -0.2], "diff_high": [0, 0]}
    )
    (plain,) = exposure.front(points, x="places", loss=0.05, note="budget").axes
    (marked,) = exposure.front(points, x="places", loss=0.05, note="budget", point=points[1:]).axes
    assert len(marked.lines) == len(plain.lines) + 1
    assert "budget" in [text.get_text() for text in plain.texts]
