"""ground and record: parameters are checked, results are recorded as data, files are written whole or not at all."""

import importlib.metadata
import json
import os
import random

import numpy as np
import pandas as pd
import pytest

from coldstart_utils.book.record import RECORD_MIME, Run, is_shown, not_shown, record, setup, show_source, tell
from coldstart_utils.ground import VERSIONED, ColdstartError, cache_dir, figures_dir, versions, written_aside
from coldstart_utils.measure.study import compare

# --- Set-up ----------------------------------------------------------------------------------------------------------


def test_setup_keeps_what_it_was_given():
    run = setup("02_least_squares", seed=7, quick=True, DATASET="ml-100k", TOP_K=20)
    assert (run.notebook, run.seed, run.quick) == ("02_least_squares", 7, True)
    assert run.parameters == {"SEED": 7, "QUICK": True, "DATASET": "ml-100k", "TOP_K": 20}


@pytest.mark.parametrize("seed", [-1, 1.0, "3", None, True])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ColdstartError, match="parameter SEED: expected a whole number of 0 to "):
        setup("n", seed=seed, quick=False)


@pytest.mark.parametrize("quick", [0, 1, "False", None])
def test_quick_is_true_or_false(quick):
    with pytest.raises(ColdstartError, match="parameter QUICK: expected True or False, got "):
        setup("n", seed=0, quick=quick)


def test_setup_seeds_the_global_generators():
    def draw(seed):
        setup("n", seed=seed, quick=False)
        return random.random(), np.random.random()  # noqa: NPY002 - the global one is what is tested

    assert draw(3) == draw(3)
    assert draw(3)[0] != draw(4)[0] and draw(3)[1] != draw(4)[1]


@pytest.mark.parametrize("quick, seeds", [(False, [10, 11, 12, 13, 14]), (True, [10, 11])])
def test_quick_repeats_less(quick, seeds):
    assert list(Run("n", 10, quick).seeds(5)) == seeds


def test_a_dollar_that_is_told_is_no_formula_and_code_stays_as_it_is(monkeypatch):
    import IPython.display

    told = []
    monkeypatch.setattr(IPython.display, "display", lambda shown: told.append(shown.data))
    tell("$5 a Day and A$AP → pieces `$ · ##5` of $")
    assert told == [r"\$5 a Day and A\$AP → pieces `$ · ##5` of \$"]


def test_tables_of_a_chapter_are_no_formulas_in_jupyterlab():
    setup("n", seed=0, quick=False)
    table = pd.DataFrame({"title": ["Cost $x$"]})
    assert "mathjax_ignore" in table._repr_html_() and "mathjax_ignore" in table.style._repr_html_()


# --- Records ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What was displayed."""
    import IPython.display

    calls = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **options: calls.append(data))
    return calls


FULL = Run("n", 0, False, {"DATASET": "ml-100k"})
CLAIMS, FINDINGS = {"ours is better": np.bool_(True), "theirs is worse": False}, {"on films": True}


def test_a_record_is_stored_as_plain_data(shown):
    record(FULL, claims=CLAIMS, findings={}, metrics={"ndcg": np.float32(0.5)}, headline="half")
    data = shown[0][RECORD_MIME]
    assert data == json.loads(json.dumps(data))
    assert data["claims"] == [["ours is better", True], ["theirs is worse", False]]
    assert (data["notebook"], data["metrics"], data["headline"]) == ("n", {"ndcg": 0.5}, "half")
    assert data["parameters"] == {"DATASET": "ml-100k"} and data["versions"] == versions()


def test_a_claim_stands_with_what_it_rests_on(shown):
    rows = pd.DataFrame(
        {"user": [0, 1, 2] * 2, "fold": 0, "model": ["base"] * 3 + ["text"] * 3, "ndcg": [0.0] * 3 + [0.5] * 3}
    )
    table = compare(rows, "base", unit="user")
    claims = {"a row": (True, table.loc["text"]), "a table": (False, table), "words": (True, "9 of 9"), "bare": True}
    record(FULL, claims=claims, findings={"none": (True, table.loc[["base"]])})
    told = "text 0.500, +.500 (+.500 to +.500); base 0.000 (NDCG, 3 users)"
    assert shown[0][RECORD_MIME]["evidence"] == {"a row": told, "a table": told, "words": "9 of 9"}
    ticked = pd.DataFrame({"better": [True, False], "worse": False})
    assert [is_shown(ticked)[0], is_shown(ticked.iloc[0])[0], is_shown(ticked, "worse")[0]] == [False, True, False]
    assert [not_shown(ticked)[0], not_shown(ticked, "worse")[0], not_shown(ticked.iloc[1])[0]] == [False, True, True]
    assert not not_shown(ticked, "worse", "better")[0]
    assert not is_shown(ticked.iloc[:0])[0] and not_shown(ticked.iloc[:0])[0]
    assert dict(shown[0][RECORD_MIME]["claims"]) == {
        "a row": True,
        "a table": False,
        "words": True,
        "bare": True,
        "none": True,
    }


def test_a_claim_that_fails_is_told(shown):
    record(FULL, claims=CLAIMS, findings={})
    assert shown[0]["text/plain"] == "1 of 2 claims hold"
    told = shown[1].data
    assert "✓ holds: ours is better" in told and "✗ **does not hold**: theirs is worse" in told


@pytest.mark.parametrize(
    "run, counted",
    [
        (FULL, True),
        (Run("n", 0, True, {"DATASET": "ml-100k"}), False),
        (Run("n", 0, False, {"DATASET": "../shop"}), False),
        (Run("n", 0, False, {}), False),
    ],
)
def test_findings_count_only_on_movielens_at_full_size(shown, run, counted):
    record(run, claims=CLAIMS, findings=FINDINGS)
    data = shown[0][RECORD_MIME]
    assert ("on films" in dict(data["claims"])) == counted and (dict(data["findings"]) == FINDINGS) != counted
    assert ("for MovieLens-100K at full size only" in shown[1].data) != counted


@pytest.mark.parametrize("value", [1, 0.0, None, "True", np.float64(1), np.array([True])])
@pytest.mark.parametrize("kind", ["claims", "findings"])
@pytest.mark.parametrize("run", [FULL, Run("n", 0, True)])
def test_a_claim_is_true_or_false(shown, run, kind, value):
    with pytest.raises(ColdstartError, match="claim 'c': expected True or False, got "):
        record(run, **{"claims": {}, "findings": {}, kind: {"c": value}})
    assert shown == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_a_metric_is_a_finite_number(shown, value):
    with pytest.raises(ColdstartError, match="metric 'm': expected a finite number, got "):
        record(FULL, claims={}, findings={}, metrics={"m": value})
    assert shown == []


def test_versions_are_those_installed():
    found = versions()
    assert found["numpy"] == np.__version__ and found["torch"] == importlib.metadata.version("torch")
    assert set(found) == {"python", *VERSIONED}


def test_source_is_shown_as_it_stands():
    source = show_source(written_aside).data
    assert source.startswith("```python\n") and source.endswith("```")
    assert "def written_aside(path: Path)" in source and "aside.replace(path)" in source


# --- Places and files ------------------------------------------------------------------------------------------------


def test_the_environment_names_the_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    monkeypatch.setenv("COLDSTART_FIGURES", str(tmp_path / "f"))
    assert cache_dir() == tmp_path and figures_dir() == tmp_path / "f"


@pytest.mark.parametrize("empty", [True, False])
def test_without_the_environment_nothing_is_saved_and_the_platform_says_where_to_cache(monkeypatch, empty):
    for name in ("COLDSTART_CACHE", "COLDSTART_FIGURES"):
        monkeypatch.setenv(name, "") if empty else monkeypatch.delenv(name, raising=False)
    assert figures_dir() is None
    assert cache_dir().name == "coldstart" and cache_dir().is_absolute()


def test_a_file_is_there_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "data.txt"
    with written_aside(path) as aside:
        aside.write_text("half")
        assert not path.exists() and aside.parent == path.parent
        aside.write_text("whole")
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["data.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_interruption_leaves_what_was_there(tmp_path, interruption, old):
    path = tmp_path / "data.txt"
    if old:
        path.write_text(old)
    with pytest.raises(interruption), written_aside(path) as aside:
        aside.write_text("half")
        raise interruption
    assert os.listdir(tmp_path) == (["data.txt"] if old else [])
    assert not old or path.read_text() == old
