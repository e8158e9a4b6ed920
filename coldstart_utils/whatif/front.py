"""What if groups had to be treated alike: a front of accuracy against gaps, on folds and under the pointer."""

from __future__ import annotations

from collections.abc import Sequence

import bqplot as bq
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..measure.groups import welch
from ..measure.intervals import estimate
from ..measure.ranking import evaluate, from_matrix
from ..measure.study import Fold
from ..models.parity import AIMS, fair_bridge, gaps
from ..models.transfer import teacher_scores
from ..palette import BLUE, ORANGE
from .panels import Pictured

Array = np.ndarray
MEASURES = ("ndcg", "score gap", "error gap", "recall gap")


def swept(
    K: Array, folds: Sequence[Fold], members: Array, weights: Sequence[float], *, reg: float = 10.0, k: int = 20
) -> pd.DataFrame:
    """Return what a `parity.fair_bridge` gives for each of its aims and `weights`, a row each and fold.

    Columns: model (the aim), dial (the weight), fold, ndcg over users; the gaps of `parity.gaps`; 'recall gap', mean
    recall of the `members` [users] less that of the others, and 'recall half', half its 95 % interval over users.
    """
    rows, recalls = [], []
    for fold in folds:
        split = fold.outer
        targets, wanted = teacher_scores(split, "EASE").T, split.test[:, split.candidates].toarray()
        for aim in AIMS:
            for weight in weights:
                fair = fair_bridge(K, targets, split.warm_items, split.candidates, reg, members, weight, aim).T
                scores = np.zeros(split.train.shape)
                scores[:, split.candidates] = fair
                found = evaluate({"": from_matrix(scores)}, split, k=k)
                own = members[found["user"]]
                recall = found["recall"][own].mean() - found["recall"][~own].mean()
                row = {"model": aim, "dial": float(weight), "fold": split.seed, "ndcg": found["ndcg"].mean()}
                rows.append(row | gaps(fair, wanted, members) | {"recall gap": recall})
                recalls.append(found[["user", "recall"]].assign(model=aim, dial=float(weight)))
    return pd.DataFrame(rows).merge(_over_users(pd.concat(recalls), members), on=["model", "dial"])


def _over_users(recalls: pd.DataFrame, members: Array) -> pd.DataFrame:
    """Return 'recall half' by model and dial, from the recall of users in every fold (Welch 1947)."""
    rows = []
    for (model, dial), own in recalls.groupby(["model", "dial"], sort=False):
        of_user = own.groupby("user")["recall"].mean()
        inside = members[of_user.index]
        rows.append((model, dial, welch(of_user[inside].to_numpy(), of_user[~inside].to_numpy())[0]))
    return pd.DataFrame(rows, columns=["model", "dial", "recall half"])


def front(results: pd.DataFrame) -> pd.DataFrame:
    """Return the means over folds of `swept` by aim and weight, each measure with `… low` and `… high` (95 %).

    The interval of the recall gap is the wider of that over folds and that over users.
    """
    rows = []
    for (model, dial), own in results.groupby(["model", "dial"], sort=False):
        row: dict[str, object] = {"model": model, "dial": dial}
        for name in MEASURES:
            mean, low, high, _ = estimate(own[name].to_numpy(), resampled=False, extra=0.25)
            if name == "recall gap":
                half = own["recall half"].iloc[0]
                low, high = min(low, mean - half), max(high, mean + half)
            row |= {name: mean, f"{name} low": low, f"{name} high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def view(points: pd.DataFrame, still: Figure) -> Pictured:
    """Return the `front` as dots, with all gaps under the pointer; `still` stands in its place on a page."""
    scales = {"x": bq.LinearScale(), "y": bq.LinearScale()}
    marks = []
    for (aim, own), colour in zip(points.groupby("model", sort=False), (BLUE, ORANGE)):
        names = [
            f"{aim}, weight {row['dial']:g}: NDCG {row['ndcg']:.3f}, score gap {row['score gap']:.4f}, "
            f"error gap {row['error gap']:.4f}, recall gap {row['recall gap']:+.3f}"
            for _, row in own.iterrows()
        ]
        marks.append(bq.Lines(x=own["score gap"], y=own["ndcg"], scales=scales, colors=[colour]))
        marks.append(
            bq.Scatter(
                x=own["score gap"], y=own["ndcg"], names=names, display_names=False, scales=scales, colors=[colour],
                default_size=110, stroke="white", tooltip=bq.Tooltip(fields=["name"], show_labels=False),
            )
        )  # fmt: skip
    axes = [
        bq.Axis(scale=scales["x"], label="score gap: mean difference of the two groups", tick_format=".3f"),
        bq.Axis(scale=scales["y"], label="NDCG", orientation="vertical", tick_format=".3f", label_offset="3.6em"),
    ]
    margin = {"top": 14, "bottom": 50, "left": 76, "right": 20}
    figure = bq.Figure(marks=marks, axes=axes, fig_margin=margin, layout={"width": "100%", "height": "380px"})
    return Pictured([figure], still, caption="NDCG against the score gap of two groups; all gaps under the pointer.")
