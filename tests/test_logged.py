"""Off-policy estimates: against obp's formulas, against Monte Carlo truth, and on logs that are wrong."""

import importlib.metadata

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.catalogue import decisions
from coldstart_utils.catalogue.decisions import Log, open_bandit
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import logged


def made(n=600, items=5, seed=0, uniform=False):
    """Return a log with known click rates, and the rates [items]: the logging policy favours the first items."""
    rng = np.random.default_rng(seed)
    rates = np.linspace(0.1, 0.5, items)
    shown = np.full(items, 1 / items) if uniform else np.arange(items, 0, -1) / np.arange(items, 0, -1).sum()
    item = rng.choice(items, size=n, p=shown)
    reward = (rng.random(n) < rates[item]).astype(float)
    context, content = rng.normal(size=(n, 2)), rng.normal(size=(items, 2))
    return Log(item, rng.integers(2, size=n), reward, shown[item], context, content, items, 2), rates


def target(items=5):
    one = np.arange(1, items + 1) / np.arange(1, items + 1).sum()
    return np.stack([one, one[::-1]])


def test_three_rows_by_hand():
    log = Log(
        np.array([0, 1, 0]), np.zeros(3, int), np.array([1.0, 0, 0]), np.array([0.8, 0.2, 0.8]),
        np.zeros((3, 0)), np.zeros((2, 0)), 2, 1,
    )  # fmt: skip
    policy, Q = np.array([[0.4, 0.6]]), np.tile([0.5, 0.1], (3, 1))
    found = logged.terms(log, policy, Q, switch=1.0, shrink=1.0)
    assert found["w"].tolist() == pytest.approx([0.5, 3, 0.5])
    assert found["IPS"].tolist() == pytest.approx([0.5, 0, 0])
    assert found["direct"].tolist() == pytest.approx([0.26] * 3)
    assert found["doubly robust"].tolist() == pytest.approx([0.51, -0.04, 0.01])
    assert found["switch"].tolist() == pytest.approx([0.51, 0.26, 0.01])
    assert found["shrinkage"].tolist() == pytest.approx([0.26 + 0.25 / 1.25, 0.26 - 0.3 / 10, 0.26 - 0.25 / 1.25])
    assert logged.values(found.mean().to_frame().T)["SNIPS"].item() == pytest.approx(0.5 / 4)


def test_estimates_are_those_of_obp():
    peer = pytest.importorskip("obp.ope.estimators")
    (log, _), policy = made(), target()
    Q = np.random.default_rng(1).random((len(log.item), log.items))
    found = logged.terms(log, policy, Q, switch=1.5, shrink=2.0)
    ours = logged.values(found.mean().to_frame().T).iloc[0]
    asked = {
        "reward": log.reward, "action": log.item, "pscore": log.propensity, "position": log.place,
        "action_dist": np.broadcast_to(policy.T, (len(log.item), log.items, 2)),
        "estimated_rewards_by_reg_model": np.repeat(Q[:, :, None], 2, axis=2),
    }  # fmt: skip
    peers = {
        "IPS": peer.InverseProbabilityWeighting(),
        "SNIPS": peer.SelfNormalizedInverseProbabilityWeighting(),
        "direct": peer.DirectMethod(),
        "doubly robust": peer.DoublyRobust(),
        "switch": peer.SwitchDoublyRobust(tau=1.5),
        "shrinkage": peer.DoublyRobustWithShrinkage(lambda_=4.0),
    }
    for name, one in peers.items():
        assert ours[name] == pytest.approx(one.estimate_policy_value(**asked), rel=1e-9), name


def test_weighted_estimates_find_the_truth_where_the_mean_of_the_log_does_not():
    policy = target()
    found, logs, misled = [], [], []
    for seed in range(300):
        log, rates = made(seed=seed)
        Q = np.full((len(log.item), log.items), 0.9)  # a model that is wrong everywhere
        rows = logged.terms(log, policy, Q, switch=0.5, shrink=0.5)
        found.append(logged.values(rows.mean().to_frame().T).iloc[0])
        logs.append(log.reward.mean())
        misled.append(found[-1]["direct"])
    true = (policy @ rates).mean()
    table = pd.DataFrame(found)
    error = (table.mean() - true).abs() / (table.std() / np.sqrt(len(table))).replace(0, np.inf)
    assert error[["IPS", "doubly robust"]].max() < 3 and abs(table["SNIPS"].mean() - true) < 0.003
    assert abs(np.mean(logs) - true) > 0.03 and abs(np.mean(misled) - true) > 0.3
    # A correction that is cut keeps a part of the model's mistake.
    assert true + 0.05 < table["switch"].mean() < 0.9 and true + 0.05 < table["shrinkage"].mean() < 0.9


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    policy, covered = target(), []
    for seed in range(60):
        log, rates = made(n=400, seed=seed)
        other = np.random.default_rng(seed + 999)
        shown = np.repeat([0, 1], 200)
        item = np.array([other.choice(5, p=policy[place]) for place in shown])
        got = (other.random(400) < rates[item]).astype(float)
        table = logged.judged(log, policy, got, draws=200, seed=seed).table.set_index("estimator")
        covered.append((table["error_low"] <= 0) & (table["error_high"] >= 0))
    assert np.mean([row[["IPS", "SNIPS", "doubly robust"]].mean() for row in covered]) > 0.88


def test_a_row_is_not_predicted_by_its_own_reward():
    log, _ = made(n=60)
    before = logged.predicted(log, seed=1)
    reward = log.reward.copy()
    reward[7] = 100.0
    # Whatever penalty the outlier makes best, its own prediction is one of those without it.
    fitted = []
    for one in (log, Log(log.item, log.place, reward, log.propensity, log.context, log.content, log.items, log.places)):
        part = np.random.default_rng(1).permutation(60) % 3
        asked = np.column_stack([np.eye(2)[one.place], one.context])
        shown = np.column_stack([np.eye(5), one.content])
        fitted.append(logged._additive(asked, shown, one, part, 30.0))
    assert np.allclose(fitted[0][7], fitted[1][7]) and not np.allclose(fitted[0], fitted[1])
    assert before.shape == (60, 5)


def test_ridge_learns_rates_that_differ():
    log, rates = made(n=20_000, uniform=True)
    Q = logged.predicted(log)
    assert Q.mean(axis=0) == pytest.approx(rates, abs=0.03)


def test_effective_size():
    assert logged.effective_size(np.ones(50)) == pytest.approx(50)
    assert logged.effective_size(np.array([1000.0, *[1e-3] * 49])) == pytest.approx(1, abs=0.01)
    assert logged.effective_size(np.zeros(3)) == 0


def test_shares_and_uniform_are_policies():
    log, _ = made()
    for policy in (logged.shares(log), logged.uniform(log)):
        assert logged.checked_policy(policy, log) is not None
    only = log.rows(log.place == 0)
    assert np.allclose(logged.shares(only)[1], logged.shares(only)[0])


def test_the_largest_trusted_weight_is_found_on_the_log():
    log, rates = made()
    right, wrong = (np.tile(row, (len(log.item), 1)) for row in (rates, np.full(5, 0.9)))
    for kind in ("switch", "shrinkage"):

        def error(limit, Q=wrong, kind=kind):
            rows = logged.terms(log, target(), Q, switch=limit, shrink=limit)
            return (rows["doubly robust"] - rows[kind]).mean() ** 2 + rows[kind].var() / len(rows)

        best = logged.trusted(log, target(), wrong, kind)
        assert all(error(best) <= error(best * factor) for factor in (0.01, 0.1, 10))
        # A model that is wrong everywhere is corrected by larger weights than one that is right.
        assert best > logged.trusted(log, target(), right, kind)


def test_rates_with_few_clicks():
    none = logged.rate(np.zeros(100))
    assert none["low"] == 0 and none["high"] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert logged.rate(np.zeros(0)) == {"shows": 0, "clicks": 0, "rate": 0.0, "low": 0.0, "high": 1.0}
    assert logged.rate(np.ones(5))["high"] == 1
    with pytest.raises(ColdstartError, match="clicks of 0 or 1"):
        logged.rate(np.array([0.5]))


def test_what_is_least_shown_comes_first():
    log, _ = made(n=2000)
    table = logged.by_exposure(log, log, parts=5)
    assert table["log shows"].is_monotonic_increasing and table["log shows"].sum() == 2000
    assert (table["log rate"] == table["other rate"]).all()


@pytest.mark.parametrize(
    "change, match",
    [
        ({"propensity": [0.0, 0.5]}, r"row 0: expected a propensity above 0 .* got 0\.0 \(1 such"),
        ({"propensity": [0.5, 1.2]}, r"row 1: .* of 1 at most, got 1\.2"),
        ({"propensity": [np.nan, np.nan]}, r"got nan \(2 such rows\)"),
        ({"propensity": [0.5]}, "2 rows of propensity, got 1"),
        ({"reward": [0.0, np.inf]}, "reward: expected finite"),
        ({"item": [0, 2]}, "0 to 1 as item"),
        ({"item": [0.5, 1.0]}, "whole numbers"),
        ({"content": [[0.0]] * 3}, "2 rows of content, got 3"),
    ],
)
def test_a_wrong_log_is_refused_in_a_sentence(change, match):
    parts = {"item": [0, 1], "place": [0, 0], "reward": [0.0, 1.0], "propensity": [0.5, 0.5], "context": [[0.0]] * 2}
    arrays = {name: np.asarray(value) for name, value in (parts | change).items()}
    with pytest.raises(ColdstartError, match=match):
        Log(**({"content": np.zeros((2, 1))} | arrays), items=2, places=1)


def test_a_log_without_decisions_is_refused():
    with pytest.raises(ColdstartError, match="at least one decision"):
        made()[0].rows(np.zeros(600, bool))


@pytest.mark.parametrize(
    "policy, match",
    [
        (np.full((2, 5), 0.1), r"sum to 1 at each place, place 0 has 0\.5"),
        (np.full((2, 4), 0.25), r"shape \(2, 5\), got \(2, 4\)"),
        (np.array([[1.5, -0.5, 0, 0, 0]] * 2), "0 or more"),
        (np.full((2, 5), np.nan), "finite"),
    ],
)
def test_a_policy_that_is_none_is_refused_in_a_sentence(policy, match):
    with pytest.raises(ColdstartError, match=match):
        logged.weights(made()[0], policy)


def test_the_open_bandit_logs_are_what_they_are_known_to_be():
    clicks = {(p, c): open_bandit(p, c) for p in decisions.POLICIES for c in decisions.CAMPAIGNS}
    assert {key: (len(log.item), int(log.reward.sum()), log.items) for key, log in clicks.items()} == {
        ("random", "all"): (10_000, 38, 80), ("bts", "all"): (10_000, 42, 80),
        ("random", "men"): (10_000, 46, 34), ("bts", "men"): (10_000, 69, 34),
        ("random", "women"): (10_000, 46, 46), ("bts", "women"): (10_000, 46, 46),
    }  # fmt: skip
    assert np.allclose(clicks["random", "men"].propensity, 1 / 34)


def test_open_bandit_refuses_other_names_and_says_how_to_install(monkeypatch):
    with pytest.raises(ColdstartError, match="campaign: expected one of all, men, women, got 'kids'"):
        open_bandit("random", "kids")

    def missing(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ColdstartError, match="coldstart data install open-bandit"):
        open_bandit("random", "all")


def test_a_policy_earns_its_own_multiple_of_itself():
    known, _ = made()
    found = logged.multiples(known, known, draws=50)
    assert found["value"].to_numpy() == pytest.approx(1.0, abs=0.2) and found["value"]["counted"] == 1.0
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()
