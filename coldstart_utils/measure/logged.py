"""What a policy would have earned, from the log of another one: off-policy estimates, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..catalogue.decisions import Log, open_bandit
from ..catalogue.matrices import floats
from ..ground import ColdstartError
from ..models.least_squares import check_positive, ridge

Array = np.ndarray
ESTIMATORS = ("IPS", "SNIPS", "direct", "doubly robust", "switch", "shrinkage")
# Their intervals hold the luck of the rows, not what ridge has wrong.
LEANING = ("direct", "switch", "shrinkage")
PENALTIES = (30.0, 300.0, 3000.0)


# --- Policies --------------------------------------------------------------------------------------------------------


def uniform(log: Log) -> Array:
    """Return the policy [places, items] that shows every item with the same chance."""
    return np.full((log.places, log.items), 1 / log.items)


def shares(log: Log) -> Array:
    """Return the policy [places, items] that shows each item as often as the policy behind `log` did.

    No reward is looked at. A place that the log never fills gets the shares of all places.
    """
    counts = np.zeros((log.places, log.items))
    np.add.at(counts, (log.place, log.item), 1)
    counts[counts.sum(axis=1) == 0] = counts.sum(axis=0)
    return counts / counts.sum(axis=1, keepdims=True)


def checked_policy(target: Array, log: Log) -> Array:
    """Return the policy [places, items] as floats; ColdstartError unless each row holds chances that sum to 1."""
    target = floats(target, "policy")
    if target.shape != (log.places, log.items):
        raise ColdstartError(f"policy: expected chances of shape {(log.places, log.items)}, got {target.shape}")
    total = target.sum(axis=1)
    if (target < 0).any() or not np.allclose(total, 1):
        worst = int(np.argmax(np.abs(total - 1)))
        raise ColdstartError(
            f"policy: expected chances of 0 or more that sum to 1 at each place, place {worst} has {total[worst]:.3g}"
        )
    return target


def weights(log: Log, target: Array) -> Array:
    """Return w_t = π(i_t)/p_t [n]: how much more often the `target` policy π would have shown what was shown."""
    return checked_policy(target, log)[log.place, log.item] / log.propensity


def effective_size(w: Array) -> float:
    """Return (Σw)²/Σw², how many equally weighted rows are worth as much as these (Kish 1965); 0 if all weights are."""
    return float(w.sum() ** 2 / max(np.square(w).sum(), 1e-300))


# --- Direct method ---------------------------------------------------------------------------------------------------


def predicted(log: Log, *, folds: int = 3, seed: int = 0) -> Array:
    """Return the reward [n, items] that ridge expects of every item in every row, each row by the others' rewards.

    The features are item, content, place and context, added up. Rows are dealt into `folds`; no row is predicted by
    its own reward (cross-fitting, Chernozhukov et al. 2018). The penalty is the one of `PENALTIES` with the least
    squared error on these held-out rows. Raises ColdstartError unless 2 <= folds <= rows.
    """
    n = len(log.item)
    if not 2 <= folds <= n:
        raise ColdstartError(f"predicted: expected 2 to {n} folds, got {folds!r}")
    part = np.random.default_rng(seed).permutation(n) % folds
    asked = np.column_stack([np.eye(log.places)[log.place], log.context])
    shown = np.column_stack([np.eye(log.items), log.content])
    fitted = [_additive(asked, shown, log, part, penalty) for penalty in PENALTIES]
    missed = [np.mean((Q[np.arange(n), log.item] - log.reward) ** 2) for Q in fitted]
    return fitted[int(np.argmin(missed))]


def _additive(asked: Array, shown: Array, log: Log, part: Array, penalty: float) -> Array:
    Q = np.empty((len(part), log.items))
    for held in range(part.max() + 1):
        known, out = part != held, part == held
        X = np.column_stack([asked[known], shown[log.item[known]]])
        middle, mean = X.mean(axis=0), log.reward[known].mean()
        W = ridge(X - middle, (log.reward[known] - mean)[:, None], penalty)[:, 0]
        of_asked, of_shown = W[: asked.shape[1]], W[asked.shape[1] :]
        Q[out] = mean - middle @ W + (asked[out] @ of_asked)[:, None] + shown @ of_shown
    return Q


# --- Estimates -------------------------------------------------------------------------------------------------------


def terms(log: Log, target: Array, Q: Array, *, switch: float, shrink: float) -> pd.DataFrame:
    """Return a row a decision whose means the estimates are made of: w, IPS, and the last four of `ESTIMATORS`.

    With q_t the prediction of Q [n, items] for what was shown and q̄_t its mean under the target policy: IPS is w·y
    (Horvitz & Thompson 1952), direct is q̄, doubly robust q̄ + w(y − q) (Dudík et al. 2011), switch leaves out the
    correction of rows whose weight is above `switch` (Wang et al. 2017), shrinkage multiplies it by
    `shrink`²/(w² + `shrink`²) (Su et al. 2020). SNIPS is the mean of IPS over that of w (Swaminathan & Joachims 2015).
    """
    check_positive(shrink, "shrink")
    w, n = weights(log, target), np.arange(len(log.item))
    mean = np.einsum("ni,ni->n", checked_policy(target, log)[log.place], Q)
    miss = w * (log.reward - Q[n, log.item])
    return pd.DataFrame(
        {
            "w": w,
            "IPS": w * log.reward,
            "direct": mean,
            "doubly robust": mean + miss,
            "switch": mean + miss * (w <= switch),
            "shrinkage": mean + miss * shrink**2 / (w**2 + shrink**2),
        }
    )


def trusted(log: Log, target: Array, Q: Array, kind: str) -> float:
    """Return the largest weight to trust in 'switch' or 'shrinkage', chosen on the log alone.

    The least estimated bias² + variance of the estimate (Su et al. 2020): the bias is the mean of what doubly robust
    would add. Twelve values between a tenth of and ten times the weights that occur are tried.
    """
    w = weights(log, target)
    tried = np.geomspace(0.1 * max(w[w > 0].min(initial=1.0), 1e-6), 10 * w.max(initial=1.0), 12)

    def error(limit: float) -> float:
        found = terms(log, target, Q, switch=limit, shrink=limit)
        bias = (found["doubly robust"] - found[kind]).mean()
        return float(bias**2 + found[kind].var() / len(w))

    return float(min(tried, key=error))


def tuned_terms(log: Log, target: Array, *, seed: int = 0) -> pd.DataFrame:
    """Return the `terms` of a log with rewards `predicted` by ridge and the largest weights `trusted`."""
    Q = predicted(log, seed=seed)
    limits = {name: trusted(log, target, Q, kind) for name, kind in (("switch", "switch"), ("shrink", "shrinkage"))}
    return terms(log, target, Q, **limits)


def values(means: pd.DataFrame) -> pd.DataFrame:
    """Return the six estimates from means of `terms`, a row each of what is given."""
    found = means.assign(SNIPS=means["IPS"] / means["w"].where(means["w"] > 0, np.nan))
    return found[list(ESTIMATORS)]


@dataclass(frozen=True, eq=False)
class Verdict:
    """Estimates beside the truth: `table` has a row an estimator, `size` is the effective number of rows, `asked` how
    many rows the truth is the mean of.

    Columns of `table`: value, low, high; truth; error (value − truth), error_low, error_high, with both logs resampled;
    and `enough`, how many rows of such a log would bring the half width of the interval to a tenth of the truth.
    """

    table: pd.DataFrame
    size: float
    asked: int


def judged(log: Log, target: Array, truth: Array, *, draws: int = 1000, seed: int = 0) -> Verdict:
    """Return the six estimates of a `target` policy from `log`, beside the rewards `truth` [m] that it really got.

    Intervals are 95 % percentile bootstraps over the rows of either log (Efron & Tibshirani 1993).
    """
    found = tuned_terms(log, target, seed=seed)
    rng = np.random.default_rng(seed)
    value = values(found.mean().to_frame().T).iloc[0]
    drawn = values(pd.DataFrame(resampled(found.to_numpy(), draws, rng), columns=found.columns))
    truths = resampled(np.asarray(truth, float)[:, None], draws, rng)
    error = drawn - truths
    true = float(np.mean(truth))
    spread = found.std()
    spread["SNIPS"] = (found["IPS"] - value["SNIPS"] * found["w"]).std() / max(found["w"].mean(), 1e-12)
    ends = [np.nanpercentile(part, [2.5, 97.5], axis=0) for part in (drawn, error)]
    table = pd.DataFrame({"value": value, "low": ends[0][0], "high": ends[0][1], "truth": true, "error": value - true})
    table = table.assign(error_low=ends[1][0], error_high=ends[1][1])
    table["enough"] = (1.96 * spread[list(ESTIMATORS)] / max(0.1 * true, 1e-12)) ** 2
    return Verdict(table.rename_axis("estimator").reset_index(), effective_size(found["w"].to_numpy()), len(truth))


def both_ways(campaign: str, *, draws: int = 1000, seed: int = 0) -> dict[str, Verdict]:
    """Return `judged` for the two policies of an Open Bandit campaign, each from the other's log.

    'random to bts' asks what Thompson sampling would earn: by its `shares`, since it changed during the week.
    """
    logs = {policy: open_bandit(policy, campaign) for policy in ("random", "bts")}
    targets = {"bts": shares(logs["bts"]), "random": uniform(logs["random"])}
    pairs = (("random", "bts"), ("bts", "random"))
    return {
        f"{campaign}, {known} to {asked}": judged(
            logs[known], targets[asked], logs[asked].reward, draws=draws, seed=seed
        )
        for known, asked in pairs
    }


def multiples(known: Log, asked: Log, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return what the policy behind `asked` earns as a multiple of that behind `known`: 'IPS' from the log `known` by
    its `shares`, and 'counted' in both logs.

    Columns: value, low, high. 95 % percentile bootstraps; for IPS the same rows are drawn for both means.
    """
    rng = np.random.default_rng(seed)
    own = np.column_stack([weights(known, shares(asked)) * known.reward, known.reward])
    pairs = resampled(own, draws, rng)
    others, alone = (resampled(log.reward[:, None], draws, rng)[:, 0] for log in (asked, known))
    drawn = {"IPS": pairs[:, 0] / pairs[:, 1].clip(min=1e-12), "counted": others / alone.clip(min=1e-12)}
    value = {"IPS": own[:, 0].mean() / own[:, 1].mean(), "counted": asked.reward.mean() / known.reward.mean()}
    rows = [(value[name], *np.percentile(one, [2.5, 97.5])) for name, one in drawn.items()]
    return pd.DataFrame(rows, columns=["value", "low", "high"], index=list(drawn))


def resampled(rows: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return the column means [draws, d] of as many bootstrap samples of `rows` [n, d]."""
    n = len(rows)
    means = np.empty((draws, rows.shape[1]))
    for draw in range(draws):
        means[draw] = np.bincount(rng.integers(n, size=n), minlength=n) @ rows / n
    return means


# --- What a log says of items that it hardly shows -------------------------------------------------------------------


def by_exposure(log: Log, other: Log, parts: int = 4) -> pd.DataFrame:
    """Return a row for each of `parts` of the items, least shown in `log` first: what either log says of them.

    Columns: items, and for 'log' and 'other' shows, clicks, rate, low, high, with exact 95 % intervals of the rate
    (Clopper & Pearson 1934).
    """
    shown = np.bincount(log.item, minlength=log.items)
    rows = []
    for number, own in enumerate(np.array_split(np.argsort(shown, kind="stable"), parts), start=1):
        row: dict[str, float] = {"part": number, "items": len(own)}
        for name, one in (("log", log), ("other", other)):
            of = np.isin(one.item, own)
            row |= {f"{name} {key}": value for key, value in rate(one.reward[of]).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def rate(clicks: Array) -> dict[str, float]:
    """Return shows, clicks, rate, low and high of clicks [n] that are 0 or 1 (Clopper & Pearson 1934); 0 to 1 for none.

    Raises ColdstartError for other values.
    """
    from scipy import stats

    clicks = floats(clicks, "clicks")
    if not np.isin(clicks, (0, 1)).all():
        raise ColdstartError("rate: expected clicks of 0 or 1")
    n, k = len(clicks), int(clicks.sum())
    low = float(stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {"shows": n, "clicks": k, "rate": k / n if n else 0.0, "low": low, "high": high}
