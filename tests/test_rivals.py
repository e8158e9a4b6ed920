"""The rivals learn what they should: known gradients and answers, losses that fall, toys they learn by heart."""

from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize, sparse

from coldstart_utils.book import rivals_plots
from coldstart_utils.catalogue import splits
from coldstart_utils.data import papers
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import ranking, study
from coldstart_utils.models import als
from coldstart_utils.models.content import block_kernels
from coldstart_utils.rivals import closed, contest, distilled, learning, newcomers, recorded, tuning
from coldstart_utils.rivals import content as by_content
from coldstart_utils.rivals import factorisation as mf
from coldstart_utils.rivals.features import features_of

USERS, ITEMS, GROUPS = 48, 60, 3
KNOBS = {
    mf.sgd_bridged: {"rate": 0.02, "reg": 1.0, "penalty": 1.0},
    mf.bpr_bridged: {"rate": 0.1, "reg": 0.01, "penalty": 1.0},
    by_content.feature_embeddings: {"rate": 0.02, "decay": 0.01},
    by_content.two_towers: {"rate": 0.02, "blank": 0.0, "temperature": 0.3},
    by_content.clcrec: {"rate": 0.02, "blank": 0.0, "temperature": 0.3, "share": 0.3},
    distilled.dropoutnet: {"rate": 0.001, "blank": 0.0, "dropped": 0.5},
    distilled.aldi: {"rate": 0.001, "blank": 0.0, "weight": 1.0},
}
learners = pytest.mark.parametrize("learn", KNOBS, ids=lambda learn: learn.__name__)


@pytest.fixture(scope="module")
def world():
    """Users and items of three groups; most choose in their own, and the content of an item tells its group."""
    rng = np.random.default_rng(0)
    of_user, of_item = np.arange(USERS) % GROUPS, np.arange(ITEMS) % GROUPS
    X = rng.random((USERS, ITEMS)) < np.where(of_user[:, None] == of_item, 0.6, 0.03)
    blocks = {"group": np.eye(GROUPS)[of_item], "noise": rng.standard_normal((ITEMS, 5))}
    split = splits.hide_items(sparse.csr_matrix(X.astype(float)), np.arange(45, ITEMS))
    return split, blocks, features_of(blocks)


@pytest.fixture(scope="module")
def newcomer_world(world):
    split, _, features = world
    X = split.train + split.test
    profiles = np.random.default_rng(1).standard_normal((USERS, 4)).astype(np.float32)
    return splits.k_shot_users(X, 0, k=3), features, profiles


def ndcg(scorer, split):
    return ranking.evaluate({"": scorer}, split, k=5)["ndcg"].mean()


def slope(function, at, direction, step=1e-5):
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


# --- Features ---------------------------------------------------------------------------------------------------------


def test_features_say_what_the_blocks_say(world):
    _, blocks, features = world
    K = sum(block_kernels(blocks).values())
    np.testing.assert_allclose(features.F @ features.F.T, K, atol=1e-5)
    assert features.kept == pytest.approx(1) and np.array_equal(features.K, features.F @ features.F.T)
    narrow = features_of(blocks, most=3)
    values = np.linalg.eigvalsh(K)
    assert narrow.F.shape == (ITEMS, 3) and narrow.kept == pytest.approx(values[-3:].sum() / values.sum(), rel=1e-4)
    assert np.abs(features.inputs.mean(axis=0)).max() < 1e-6
    assert np.square(features.inputs).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_features_need_blocks_and_a_width():
    with pytest.raises(ColdstartError, match="at least one block"):
        features_of({})
    with pytest.raises(ColdstartError, match="width of 1"):
        features_of({"a": np.eye(3)}, most=0)


# --- Gradients --------------------------------------------------------------------------------------------------------


def test_the_implicit_gradient_is_that_of_the_objective_of_als():
    rng = np.random.default_rng(0)
    P = (rng.random((7, 5)) < 0.4).astype(float)
    U, V, dU, dV = (rng.standard_normal((n, 3)) for n in (7, 5, 7, 5))
    loss, by_users, by_items = mf.implicit_gradient(P, U, V, 0.7)
    assert loss == pytest.approx(als.implicit_objective(sparse.csr_matrix(P), U, V, 0.7, 1.0))
    assert np.vdot(by_users, dU) == pytest.approx(slope(lambda u: mf.implicit_gradient(P, u, V, 0.7)[0], U, dU))
    assert np.vdot(by_items, dV) == pytest.approx(slope(lambda v: mf.implicit_gradient(P, U, v, 0.7)[0], V, dV))
    halves = [mf.implicit_gradient(P[rows], U[rows], V, 0.7, n / 7)[0] for rows, n in ((slice(3), 3), (slice(3, 7), 4))]
    assert sum(halves) == pytest.approx(loss)


def test_the_loss_of_pairs_is_that_of_the_paper():
    better, worse = torch.tensor([2.0, -1.0, 30.0]), torch.tensor([0.0, 1.0, -30.0])
    expected = -np.log(1 / (1 + np.exp(-np.array([2.0, -2.0, 60.0])))).mean()
    assert float(learning.bpr_loss(better, worse)) == pytest.approx(expected)


def test_steps_of_adam_are_those_of_torch():
    start, rng = np.random.default_rng(1).standard_normal((5, 3)), np.random.default_rng(2)
    ours, theirs = start.copy(), torch.nn.Parameter(torch.tensor(start))
    own, peer = mf.Adam([ours], 0.1), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(20):
        gradient = rng.standard_normal((5, 3))
        theirs.grad = torch.tensor(gradient)
        peer.step()
        own.step([gradient], [slice(None)])
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-6)
    before = ours.copy()
    own.step([np.ones((2, 3))], [np.array([0, 4])])
    assert (ours != before).any(axis=1).tolist() == [True, False, False, False, True]


def test_small_steps_reach_where_als_arrives(world):
    X = world[0].train[:, world[0].warm_items]
    there = als.als_implicit(X, rank=8, reg=3.0, sweeps=30, trace=True).objective[-1]
    *_, last = islice(mf.sgd(X, rate=0.01, reg=3.0, rank=8), 400)
    assert als.implicit_objective(X, last.U, last.V, 3.0, 1.0) == pytest.approx(there, rel=0.02)


# --- Losses -----------------------------------------------------------------------------------------------------------


def test_in_batch_negatives_are_the_items_that_a_user_did_not_choose():
    scores = torch.tensor([[2.0, 1.0, 0.5], [0.0, 3.0, 1.0]])
    chosen = torch.tensor([[True, True, False], [False, True, False]])
    e = np.exp
    parts = [e(2) / (e(2) + e(0.5)), e(1) / (e(1) + e(0.5)), e(3) / (e(3) + e(0) + e(1))]
    assert float(by_content.in_batch_loss(scores, chosen)) == pytest.approx(-np.mean(np.log(parts)), rel=1e-5)


def test_alignment_is_nothing_where_student_and_teacher_agree_on_size():
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 6, generator=rng)
    pairs = (torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5]))
    size, order = distilled.alignment_losses(scores, scores, pairs)
    lead = (scores[pairs[0], pairs[1]] - scores[pairs[0], pairs[2]]).double().numpy()
    p = 1 / (1 + np.exp(-lead))
    assert float(size) == 0 and float(order) == pytest.approx(
        -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p)), rel=1e-5
    )
    assert float(distilled.alignment_losses(scores + 1, scores, pairs)[0]) == pytest.approx(2)
    alike = torch.ones(5, 2)
    assert float(distilled.identity_loss(alike, alike)) == pytest.approx(np.log(2))


def test_pairs_are_a_choice_and_something_else():
    torch.manual_seed(0)
    chosen = torch.rand(30, 12) < 0.4
    users, better, worse = learning.pairs_of(chosen)
    assert chosen[users, better].all() and not chosen[users, worse].any() and len(users) > 50


# --- What learns in epochs --------------------------------------------------------------------------------------------


@learners
def test_steps_lower_the_loss_and_a_toy_is_learnt_by_heart(world, learn):
    split, _, features = world
    epochs = [*islice(learn(features, split, **KNOBS[learn]), 80)]
    losses = [epoch.loss for epoch in epochs]
    # The known items of a toy are one batch: an epoch is a step. The library's BPR takes one a choice, on drawn pairs,
    # and starts from factors near zero, which order half of them rightly.
    assert learn is mf.bpr_bridged or losses[1] < losses[0]
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
    rng = np.random.default_rng(0)
    chance = ndcg(lambda users, items: rng.random((len(users), len(items))), split)
    assert ndcg(epochs[-1].scorer, split) > chance + 0.25
    assert epochs[-1].V.shape[0] == ITEMS and epochs[-1].U.shape[0] == USERS


@learners
def test_the_same_seed_learns_the_same(world, learn):
    split, _, features = world
    runs = [[*islice(learn(features, split, seed=seed, **KNOBS[learn]), 3)][-1] for seed in (5, 5, 6)]
    for name in ("U", "V"):  # sums by several threads may differ in their last digit
        np.testing.assert_allclose(getattr(runs[0], name), getattr(runs[1], name), atol=1e-4)
    assert not np.allclose(runs[0].V, runs[2].V)


@learners
def test_what_is_asked_is_never_seen(world, learn):
    split, _, features = world
    others = sparse.csr_matrix(split.test[::-1])
    users = np.flatnonzero(np.diff(others.indptr))
    blind = splits.Split(split.kind, 0, split.train, others, split.candidates, users, split.support)
    runs = [[*islice(learn(features, part, **KNOBS[learn]), 2)][-1].V for part in (split, blind)]
    np.testing.assert_allclose(*runs, atol=1e-4)


def test_an_epoch_leaves_the_mode_of_gradients_alone(world):
    split, _, features = world
    for _ in islice(distilled.dropoutnet(features, split, rate=0.01, blank=0.5, dropped=0.5), 2):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "learn, wrong, told",
    [
        (mf.sgd_bridged, {"rate": 0.0}, "rate"),
        (mf.sgd_bridged, {"penalty": 0.0}, "above 0"),
        (by_content.feature_embeddings, {"rate": -1.0}, "rate above 0"),
        (by_content.two_towers, {"blank": 1.0}, "blank"),
        (distilled.dropoutnet, {"dropped": 1.5}, "dropped"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(world, learn, wrong, told):
    split, _, features = world
    with pytest.raises(ColdstartError, match=told):
        next(learn(features, split, **(KNOBS[learn] | wrong)))


def test_a_loss_that_leaves_the_numbers_is_said():
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ColdstartError, match="not finite"):
        next(learning.steps([weight], lambda batch: weight.sum() * float("inf"), np.arange(3), rate=0.1, seed=0))
    with pytest.raises(ColdstartError, match="got none"):
        next(learning.steps([weight], lambda batch: weight.sum(), np.arange(0), rate=0.1, seed=0))


# --- Closed forms -----------------------------------------------------------------------------------------------------


def test_the_weights_of_metadata_are_found_again():
    rng = np.random.default_rng(0)
    X = rng.random((40, 12))
    likeness = [rng.random((12, 12)) for _ in range(2)]
    for G in likeness:
        np.fill_diagonal(G, 0)

    def missed(weights):
        counts = np.where(X > 0, 1.0, closed.ZERO_COUNTS)
        parts = weights[0] + weights[1] * X @ likeness[0] + weights[2] * X @ likeness[1]
        return (counts * (X - parts) ** 2).sum()

    best = optimize.minimize(missed, np.zeros(3)).x
    np.testing.assert_allclose(closed.metadata_weights(X, likeness), best[1:], atol=1e-4)


def test_marec_solves_its_objective_for_a_new_item(world):
    split, blocks, _ = world
    kernels = {name: K.astype(float) for name, K in block_kernels(blocks).items()}
    scorer = closed.Marec(kernels).fit(split, reg=20.0)
    warm, X = split.warm_items, split.train[:, split.warm_items].toarray()
    weights = closed.metadata_weights(X.astype(np.float32), [K[np.ix_(warm, warm)] for K in kernels.values()])
    target = X @ sum(w * K[warm][:, [50]] for w, K in zip(weights, kernels.values()))
    penalty, large = 20.0 * 1001, 1000.0

    def gradient(b):
        return 2 * (X.T @ (X @ b)) + 2 * penalty * b + 2 * large * X.T @ (X @ b - target)

    b = np.linalg.solve((1 + large) * X.T @ X + penalty * np.eye(len(warm)), large * X.T @ target)
    assert np.abs(gradient(b)).max() < 1e-6
    ours = scorer(np.arange(USERS), np.array([50]))
    np.testing.assert_allclose(ours * large / (1 + large), X @ b, rtol=2e-3, atol=1e-4)


def test_pseudo_labels_help_the_toy_and_bad_knobs_are_refused(world):
    split, blocks, features = world
    assert ndcg(closed.SelfTraining(features.K, penalty=10.0).fit(split, reg=1.0, share=1.0), split) > 0.6
    with pytest.raises(ColdstartError, match="share"):
        closed.SelfTraining(features.K).fit(split, reg=1.0, share=0.0)
    with pytest.raises(ColdstartError):
        closed.Marec(block_kernels(blocks)).fit(split, reg=0.0)
    with pytest.raises(ColdstartError, match="at least one block"):
        closed.Marec({}).fit(split, reg=1.0)


# --- New users --------------------------------------------------------------------------------------------------------


def test_local_steps_go_down_the_loss_of_one_user():
    torch.manual_seed(0)
    layers = {"W": torch.randn(8, 6), "b": torch.zeros(8), "w": torch.randn(8) / 8}
    user, items, chosen = torch.randn(2), torch.randn(10, 4), torch.tensor([1.0] * 3 + [0.0] * 7)
    after = newcomers.adapted(layers, user, items, chosen, 0.1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    before, behind = (loss(newcomers.judged(part, user, items), chosen) for part in (layers, after))
    assert behind < before and not torch.equal(after["W"], layers["W"])
    still = newcomers.adapted(layers, user, items, chosen, 0.0)
    assert all(torch.equal(still[name], layers[name]) for name in layers)


def test_lists_hold_choices_first_and_then_others(newcomer_world):
    split, *_ = newcomer_world
    known = np.flatnonzero(np.diff(split.train.indptr) >= 4)
    lists = newcomers.lists_of(split.train, known, 4, split.warm_items, np.random.default_rng(0))
    assert lists.shape == (len(known), 4 * (1 + newcomers.NO_AGAINST_YES))
    chosen = split.train[known].toarray() > 0
    assert np.take_along_axis(chosen, lists[:, :4], 1).all()
    assert np.take_along_axis(chosen, lists[:, 4:], 1).mean() < 0.02


def test_melu_learns_a_toy_and_repeats_itself(newcomer_world):
    split, features, profiles = newcomer_world
    learn = partial(newcomers.melu, features, split, k=3, profiles=profiles, rate=0.01, pace=0.3)
    epochs = [*islice(learn(), 25)]
    assert epochs[-1].loss < 0.8 * epochs[0].loss
    flat = np.asarray(split.train.sum(axis=0)).ravel()
    assert ndcg(epochs[-1].scorer, split) > ndcg(ranking.from_items(flat), split) + 0.05
    # Sums by several threads may differ in their last digit.
    np.testing.assert_allclose(next(learn()).scores, epochs[0].scores, atol=1e-4)


def test_melu_needs_choices_and_a_profile_of_everybody(newcomer_world):
    split, features, profiles = newcomer_world
    for wrong in ({"k": 0}, {"profiles": profiles[1:]}):
        with pytest.raises(ColdstartError, match="melu"):
            next(newcomers.melu(features, split, **({"k": 3, "profiles": profiles, "rate": 0.01, "pace": 0.1} | wrong)))


# --- Tuning and the contest -------------------------------------------------------------------------------------------


def test_every_contestant_runs_in_a_study_with_the_same_tuning(world):
    split, blocks, features = world
    folds = study.item_folds(split.train + split.test, 2)[:1]
    methods = contest.contestants(blocks, features=features)
    results = study.run(methods, folds, trials=1, tuner=partial(tuning.tuned, patience=1))
    assert set(results["model"]) == set(methods) and results["ndcg"].between(0, 1).all()
    table = study.compare(results, contest.RECIPE)
    assert {"feature embeddings", "DropoutNet", "MARec", "self-training"} <= set(table.index)


def test_every_contestant_for_new_users_runs_and_the_informed_beat_popularity(newcomer_world):
    split, features, profiles = newcomer_world
    methods = contest.newcomer_contestants(features, profiles, 3)
    found = {}
    for name, method in methods.items():
        found[name] = ndcg(method.fit(split, **(method.knobs | ({"epochs": 3.0} if name == "MeLU" else {}))), split)
    assert set(found) == {"newcomers", "popularity", "fold-in", "posterior", "MeLU"}
    assert min(found["newcomers"], found["fold-in"], found["posterior"]) > found["popularity"] + 0.05


def test_knobs_without_a_range_are_looked_for_around_their_start():
    ranges = tuning.ranges_of(study.Arm(lambda split, reg: None, {"reg": 3.0}))
    assert ranges == {"reg": pytest.approx((0.1, 90.0))}
    rival = learning.Rival(lambda split: iter(()), {"rate": (0.1, 10.0)})
    assert tuning.ranges_of(rival) == {"rate": (0.1, 10.0)}


def test_as_many_settings_are_tried_as_allowed_and_the_best_is_taken(world):
    split, *_ = world
    tried = []

    def fit(split, *, dial):
        tried.append(dial)
        worth = np.asarray(split.test.sum(axis=0)).ravel()
        noise = np.random.default_rng(0).random(len(worth)) * abs(np.log(dial / 3)) * 10
        return ranking.from_items(worth + noise)

    arm = study.Arm(fit, {"dial": 1.0})
    found = tuning.tuned(arm, [split], trials=6)
    assert len(tried) == 6 and tried[0] == pytest.approx(1.0) and found["dial"] in tried
    first = list(tried)
    tried.clear()
    assert tuning.tuned(arm, [split], trials=6) == found and tried == first
    with pytest.raises(ColdstartError, match="trials"):
        tuning.tuned(arm, [split], trials=0)


def test_epochs_are_those_best_for_items_that_play_new(world):
    split, *_ = world
    truth, passed = (split.train + split.test).toarray(), []

    def learn(split, *, rate):
        for number in range(30):
            passed.append(number)
            noise = np.random.default_rng(number).random(truth.shape) * 3 * abs(number - 4)
            yield learning.Epoch(truth + noise, np.eye(ITEMS), float(number))

    rival = learning.Rival(learn, {"rate": (0.1, 10.0)}, most=30)
    assert rival.knobs == {"rate": pytest.approx(1.0), "epochs": 15.0}
    assert tuning.tuned(rival, [split], trials=1)["epochs"] == 5
    assert passed == [*range(5 + tuning.PATIENCE)]
    assert ndcg(rival.fit(split, rate=1.0, epochs=5.0), split) == pytest.approx(1)
    curve = tuning.curve(rival, split, epochs=7)
    assert curve["epoch"].tolist() == [*range(1, 8)] and curve["ndcg"].idxmax() == 4
    assert curve["seconds"].is_monotonic_increasing
    with pytest.raises(ColdstartError, match="epochs"):
        rival.fit(split, rate=1.0, epochs=0.0)
    with pytest.raises(ColdstartError, match="curve: expected knobs of rate, got 'rates'"):
        tuning.curve(rival, split, rates=1.0)


def test_a_setting_that_explodes_counts_as_nothing(world):
    split, *_ = world

    def learn(split, *, rate):
        raise ColdstartError("the loss is not finite any more")
        yield

    rival = learning.Rival(learn, {"rate": (0.1, 10.0)})
    assert tuning.tuned(rival, [split], trials=2)["epochs"] == 1


# --- What was recorded ------------------------------------------------------------------------------------------------


def test_a_setting_reads_back():
    assert recorded.knobs_of("rate 0.01, epochs 12") == {"rate": 0.01, "epochs": 12.0}
    assert recorded.knobs_of("") == {}
    with pytest.raises(ColdstartError, match=r"'new items'.*got 'new item'"):
        recorded.table("new item")


def test_the_program_goes_on_where_it_stopped(world, tmp_path, monkeypatch, capsys):
    split, *_ = world
    folds, fitted = study.item_folds(split.train + split.test, 2), []

    def fit(split):
        fitted.append(split.seed)
        return ranking.from_items(np.arange(ITEMS))

    contests = [("new items", {"toy": study.Arm(fit)}, folds)]
    monkeypatch.setattr(papers, "contests", lambda world, dataset: contests)
    path, shared = tmp_path / "papers.tsv", {"users": USERS, "items": ITEMS}
    papers.measure("films", None, None, 3, path, shared)
    first = recorded.table(path=path)
    assert fitted == [0, 1] and first["fold"].tolist() == [0, 1] and list(first.columns) == recorded.COLUMNS
    assert (first["trials"] == 0).all() and first["setting"].tolist() == ["", ""]
    pd.read_csv(path, sep="\t").iloc[:1].to_csv(path, sep="\t", index=False)
    papers.measure("films", None, None, 3, path, shared)
    assert fitted == [0, 1, 1] and recorded.table(path=path)["ndcg"].tolist() == first["ndcg"].tolist()
    papers.measure("films", None, ["another"], 3, path, shared)
    assert fitted == [0, 1, 1]


@pytest.mark.parametrize("asked", ["new items", "new users, 5 choices"])
def test_the_recorded_table_has_five_folds_of_everybody(asked):
    table = recorded.table(asked)
    assert list(table.columns) == recorded.COLUMNS and not table.duplicated(recorded.KEY).any()
    assert (table.groupby(["world", "model"])["fold"].nunique() == 5).all()
    assert table[["ndcg", "recall", "tail_recall"]].stack().between(0, 1).all() and (table["seconds"] > 0).all()
    base = contest.RECIPE if asked == "new items" else "newcomers"
    for _, rows in table.groupby("world"):
        assert base in set(rows["model"]) and pd.notna(study.compare(rows, base)["mean"]).all()
        # The same tuning for all that have something to tune.
        assert rows.loc[rows["trials"] > 0, "trials"].nunique() == 1


def test_the_recorded_curves_go_on_with_time():
    curves = recorded.curves()
    assert list(curves.columns) == recorded.CURVE_COLUMNS
    assert (curves.groupby(["model", "fold"])["seconds"].diff().dropna() >= 0).all()


# --- What is drawn and said of it -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    """Rows of two worlds, in which one rival is far ahead, one far behind, and one neither."""
    rng, rows = np.random.default_rng(0), []
    levels = {"transfer": (0.4, 10.0), "ahead": (0.6, 1.0), "behind": (0.2, 100.0), "level": (0.4, 2.0)}
    for world in ("films", "papers"):
        for fold in range(5):
            for model, (level, seconds) in levels.items():
                wide = 0.05 if model == "level" else 0.005
                rows.append({"world": world, "model": model, "fold": fold, "ndcg": level + wide * rng.standard_normal(),
                             "seconds": seconds})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("reached, answer", [(0.5, "**Yes, on this fold:**"), (0.3, "**No, on this fold:**")])
def test_the_bet_on_a_live_fold_is_answered_by_the_best_network(reached, answer):
    means = pd.Series({"solved": 0.4, "one": 0.1, "two": reached})
    said = rivals_plots.live_told(means, pd.Series({"solved": 2.0, "one": 1.0, "two": 9.0}), "solved", ["one", "two"])
    assert said.startswith(answer) and "*two*" in said and "at 4.5 times the seconds" in said


def test_the_verdict_says_who_is_shown_where_and_who_is_not(table):
    rows = rivals_plots.against_baseline(table)
    assert rows.groupby("world")["better"].sum().tolist() == [1, 1]
    assert rows.set_index("model")["times"].loc["ahead"].tolist() == pytest.approx([0.1, 0.1])
    said = rivals_plots.verdict(rows)
    assert said.startswith("- On films, shown ahead of transfer: ahead +.") and "\n- On papers, " in said
    assert "Not shown either way: level. The highest mean of them all: *ahead* +." in said
    assert "1 of 3 are shown behind" in said
    assert "no method is shown ahead" in rivals_plots.verdict(
        rivals_plots.against_baseline(table[table["model"] != "ahead"])
    )


def test_a_world_without_the_baseline_is_not_compared(table):
    lacks = (table["world"] == "papers") & (table["model"] == "transfer")
    assert set(rivals_plots.against_baseline(table[~lacks])["world"]) == {"films"}
    assert rivals_plots.left_out(table[lacks]).endswith("left out: on papers transfer.")
    assert rivals_plots.left_out(table[:0]) == ""


def test_figures_name_every_model_once_a_panel(table):
    rows = rivals_plots.against_baseline(table)
    fig = rivals_plots.cost_and_quality(rows, title="What a second buys")
    for ax, world in zip(fig.axes, ("films", "papers")):
        assert sorted(text.get_text() for text in ax.texts) == sorted(set(table["model"]))
        assert ax.get_title(loc="left") == world
    boxes = [text.get_window_extent() for text in fig.axes[0].texts]
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])
    curves = pd.DataFrame(
        [(m, f, e, e * 0.1, 1 / e, 0.3 - 0.01 * (e - 3) ** 2) for m in "ab" for f in (0, 1) for e in range(1, 7)],
        columns=recorded.CURVE_COLUMNS,
    )
    ax = rivals_plots.learning(curves, title="How they learn", level={"transfer": 0.4}).axes[0]
    assert {"a, 0.6 s", "b, 0.6 s", "transfer"} <= {text.get_text() for text in ax.texts}
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert dots == [3, 3]
