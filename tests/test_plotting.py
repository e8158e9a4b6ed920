"""plotting and panels: figures are kept with their data or not at all; panels redraw and tell errors."""

import base64
import hashlib
import json

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest

from coldstart_utils import palette
from coldstart_utils.book import beliefs, data_plots, figures, plotting, record
from coldstart_utils.ground import ColdstartError
from coldstart_utils.whatif import panels

FRAME = pd.DataFrame({"model": ["a", "b"], "mean": [0.1, 0.2], "low": [0.05, 0.15], "high": [0.15, 0.25]})
PNG = b"\x89PNG"


@pytest.fixture
def run():
    return record.setup("99_test", seed=0, quick=False, DATASET="ml-100k")


def draw(**_):
    return plotting.intervals(FRAME, title="t", xlabel="x")


def test_a_kept_figure_has_its_data_and_their_hash(tmp_path, monkeypatch, run):
    monkeypatch.setenv("COLDSTART_FIGURES", str(tmp_path))
    shown = figures.save_figure(draw(), "one", FRAME, run, alt="two dots")
    figures.save_figure(draw(), "two", FRAME, run, alt="two dots")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest) == {"one", "two"}
    assert manifest["one"]["data_sha256"] == hashlib.sha256((tmp_path / "one.csv").read_bytes()).hexdigest()
    assert manifest["one"]["notebook"] == "99_test"
    assert (tmp_path / "one.png").read_bytes() == shown.data
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one.csv"), FRAME)


@pytest.mark.parametrize("quick", [True, False])
def test_nothing_is_kept_in_quick_mode_or_unasked(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    if quick:
        monkeypatch.setenv("COLDSTART_FIGURES", str(tmp_path))
    else:
        monkeypatch.delenv("COLDSTART_FIGURES", raising=False)
    shown = figures.save_figure(draw(), "one", FRAME, record.setup("x", seed=0, quick=quick), alt="two dots")
    assert shown.data.startswith(PNG)
    assert list(tmp_path.iterdir()) == []


def test_bars_of_numbers_start_at_zero_and_differences_show_it():
    assert draw().axes[0].get_xlim()[0] == 0
    below = plotting.intervals(FRAME.assign(low=-0.3), title="t", xlabel="x").axes[0]
    assert below.get_xlim()[0] < -0.3
    assert any(np.allclose(line.get_xdata(), 0) for line in below.lines)


def test_a_waterfall_goes_from_mean_to_mean():
    frame = pd.DataFrame({"model": list("abc"), "mean": [0.3, 0.4, 0.35], "alone": [np.nan, 0.38, 0.31]})
    frame = frame.assign(low=frame.alone - 0.01, high=frame.alone + 0.01)
    ax = plotting.waterfall(frame, {"ceiling": 0.5}, title="t", xlabel="x").axes[0]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    np.testing.assert_allclose(bars, [(0, 0.3), (0.3, 0.4), (0.4, 0.35)])
    assert [text.get_text() for text in ax.texts] == ["0.300", "0.400 (+.100)", "0.350 (−.050)", "ceiling"]
    assert ax.get_xlim()[0] < 0.3 and ax.get_xlim()[1] > 0.5


def test_labels_at_line_ends_do_not_cover_each_other():
    ends = pd.DataFrame({"x": [0, 1] * 3, "y": [0.5] * 6, "who": list("aabbcc")})
    ax = plotting.lines(ends, x="x", y="y", by="who", title="", xlabel="", ylabel="").axes[0]
    heights = sorted(text.xy[1] for text in ax.texts)
    assert len(heights) == 3
    assert min(np.diff(heights)) > 0.05


def test_a_panel_redraws_when_a_control_moves():
    slider = widgets.IntSlider(1, 1, 3)

    def bars(k):
        return plotting.intervals(FRAME.assign(high=k), title=f"k = {k}", xlabel="x")

    panel = panels.Panel(bars, {"k": slider}, caption="bars")
    before = bytes(panel.image.value)
    slider.value = 3
    assert before.startswith(PNG)
    assert bytes(panel.image.value) != before
    assert panel.values == {"k": 3}


def test_a_panel_tells_an_error_escaped_and_keeps_the_picture():
    def picky(text):
        if "<" in text:
            raise ColdstartError(f"cannot read {text}")
        return draw()

    typed = widgets.Text("fine")
    panel = panels.Panel(picky, {"text": typed}, caption="picky")
    before = bytes(panel.image.value)
    typed.value = "<script>"
    assert "&lt;script&gt;" in panel.status.value
    assert bytes(panel.image.value) == before
    typed.value = "fine again"
    assert panel.status.value == ""


def test_without_a_kernel_a_panel_is_a_picture_and_a_line():
    bundle, _ = panels.Panel(draw, {"k": widgets.IntSlider()}, caption="two dots")._repr_mimebundle_()
    assert bundle["text/plain"] == "two dots"
    assert "image/png" in bundle
    picture, about = panels.Panel(draw, {"k": widgets.IntSlider()}, caption="two dots")._repr_mimebundle_()
    assert about["image/png"]["width"] == palette.shown_width(base64.b64decode(picture["image/png"])) == 760


def test_panels_share_their_rows_and_take_the_models_as_they_come():
    frame = pd.concat([FRAME.assign(band="head"), FRAME.assign(band="tail", mean=-0.2, low=-0.3, high=-0.1)[::-1]])
    figure = plotting.intervals(frame, title="t", xlabel="x", panels="band")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["head", "tail"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert figure.axes[1].get_xlim()[0] < -0.3 and figure.axes[1].get_xlim()[1] > 0


def test_rows_of_one_name_stay_apart_without_panels():
    figure = plotting.intervals(FRAME.assign(model="twin"), title="t", xlabel="x")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["twin", "twin"]
    assert len({line.get_ydata()[0] for line in figure.axes[0].lines}) == 2


def test_a_panel_tells_any_error():
    typed = widgets.IntText(1)
    panel = panels.Panel(lambda n: (1 / n, draw())[1], {"n": typed}, caption="inverse")
    typed.value = 0
    assert "ZeroDivisionError: division by zero" in panel.status.value


def test_a_label_stands_at_its_line_where_there_is_room():
    ends = pd.DataFrame({"x": [0, 1] * 3, "y": [0.0, 0.1, 0.0, 0.5, 0.0, 0.9], "who": list("aabbcc")})
    ax = plotting.lines(ends, x="x", y="y", by="who", title="", xlabel="", ylabel="").axes[0]
    low, high = ax.get_ylim()
    np.testing.assert_allclose([t.xy[1] * (high - low) + low for t in ax.texts], [0.1, 0.5, 0.9], rtol=1e-6)


def test_labels_pushed_apart_stay_around_their_lines_and_inside():
    ax = palette.figure()[1]
    plotting.label_ends(ax, [(0.5, 0, name, "k") for name in "abc"])
    np.testing.assert_allclose([text.xy[1] for text in ax.texts], [0.438, 0.5, 0.562], rtol=1e-6)
    ax = palette.figure()[1]
    plotting.label_ends(ax, [(1.0, n, name, "k") for n, name in enumerate("abc")])
    assert max(text.xy[1] for text in ax.texts) < 1


def test_a_long_line_has_no_markers():
    line = pd.DataFrame({"x": range(50), "y": range(50), "who": "a"})
    drawn = [plotting.lines(part, x="x", y="y", by="who", title="", xlabel="", ylabel="") for part in (line, line[:9])]
    assert [fig.axes[0].lines[0].get_marker() for fig in drawn] == ["", "o"]


def test_a_negative_number_is_written_on_the_far_side_of_zero():
    both = FRAME.assign(mean=[-0.1, 0.1], low=[-0.15, 0.05], high=[-0.01, 0.15])
    below, above = plotting.intervals(both, title="t", xlabel="x").axes[0].texts
    assert (below.get_text(), below.xy[0]) == ("−.100", -0.15)
    assert (above.get_text(), above.xy[0]) == ("+.100", 0.15)


def test_a_figure_is_written_again_only_if_something_can_be_seen(tmp_path, monkeypatch, run):
    monkeypatch.setenv("COLDSTART_FIGURES", str(tmp_path))

    def save(frame, alt="two dots"):
        figures.save_figure(plotting.intervals(frame, title="t", xlabel="x"), "one", frame, run, alt=alt)
        return {path.name: path.read_bytes() for path in tmp_path.glob("[a-z]*")}

    first = save(FRAME)
    assert save(FRAME.assign(mean=FRAME["mean"] * (1 + 2e-6))) == first
    assert save(FRAME, alt="other words")["manifest.json"] != first["manifest.json"]
    stale = json.loads(first["manifest.json"])
    stale["one"]["data_sha256"] = "of other data"
    (tmp_path / "manifest.json").write_text(json.dumps(stale))
    assert (
        json.loads(save(FRAME)["manifest.json"])["one"]["data_sha256"] == hashlib.sha256(first["one.csv"]).hexdigest()
    )
    moved = save(FRAME.assign(low=0.07))
    assert moved["one.csv"] != first["one.csv"] and moved["one.png"] != first["one.png"]


def test_a_trade_off_labels_every_dot_and_starts_at_zero_unless_something_is_below():
    costs = FRAME.assign(cost=[1.0, 4.0], note=["small", "large"])
    options = {"x": "cost", "title": "t", "xlabel": "x", "ylabel": "y"}
    ax = plotting.trade_off(costs, **options).axes[0]
    assert [text.get_text() for text in ax.texts] == ["a\nsmall", "b\nlarge"]
    assert ax.get_ylim()[0] == 0 and ax.get_xlim()[1] > 4
    below = plotting.trade_off(costs.assign(low=-0.1), **options).axes[0]
    assert below.get_ylim()[0] < -0.1
    assert plotting.trade_off(costs, **options, logx=True).axes[0].get_xscale() == "log"


def test_a_label_of_a_trade_off_lies_over_no_other_interval():
    near = pd.DataFrame(
        {"model": ["a long name of a model that was trained", "b"], "cost": [3.0, 6.0], "mean": [0.5, 0.5]}
    )
    near = near.assign(low=0.4, high=0.6)
    fig = plotting.trade_off(near, x="cost", title="t", xlabel="x", ylabel="y", logx=True)
    fig.canvas.draw()
    ax = fig.axes[0]
    box = ax.texts[0].get_window_extent()
    (at, bottom), (_, top) = ax.transData.transform([(6.0, 0.4), (6.0, 0.6)])
    assert box.x0 < at < box.x1 and (box.y0 > top or box.y1 < bottom)


def test_gains_leave_the_baseline_out_sort_and_grey_what_is_not_shown():
    table = pd.DataFrame(
        {
            "model": ["base", "a", "b"], "baseline": "base", "difference": [0, 0.1, 0.2], "diff_low": [0, -0.1, 0.1],
            "diff_high": [0, 0.3, 0.3], "better": [False, False, True], "worse": False, "unit": "fold", "n": 5,
        }
    )  # fmt: skip
    ax = plotting.gains(table, title="t", metric="NDCG").axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["b", "a"]
    assert [text.get_color() for text in ax.texts] == [palette.BLUE, palette.GREY]
    assert "95 % interval, 5 folds" in ax.get_xlabel() and "base" in ax.get_xlabel()


def test_gains_that_are_all_positive_still_show_zero_signs_and_a_common_reach():
    table = pd.DataFrame(
        {
            "model": ["base", "a"], "baseline": "base", "difference": [0, 0.1], "diff_low": [0, 0.05],
            "diff_high": [0, 0.15], "better": [False, True], "worse": False, "unit": "fold", "n": 5,
        }
    )  # fmt: skip
    ax = plotting.gains(table, title="t", metric="NDCG", reach=0.3).axes[0]
    assert any(np.allclose(line.get_xdata(), 0) for line in ax.lines)
    assert ax.texts[0].get_text() == "+.100" and ax.get_xlim() == (-0.3, 0.3)


def test_gains_in_panels_share_their_scale_and_grey_by_row():
    table = pd.DataFrame(
        {
            "model": ["base", "a", "b"] * 2, "baseline": "base", "difference": [0, 0.1, 0.2, 0, -0.4, 0.1],
            "diff_low": [0, -0.1, 0.1, 0, -0.5, -0.1], "diff_high": [0, 0.3, 0.3, 0, -0.3, 0.3], "unit": "user",
            "better": [False, False, True, False, False, False], "worse": [False] * 4 + [True, False],
            "kind": ["here"] * 3 + ["there"] * 3, "n": [5] * 3 + [3] * 3,
        }
    )  # fmt: skip
    figure = plotting.gains(table, title="t", metric="NDCG", panels="kind")
    left, right = figure.axes
    assert "95 % interval, 3 to 5 users" in figure.get_supxlabel()
    assert [text.get_text() for text in left.get_yticklabels()] == ["b", "a"]
    assert left.get_xlim() == right.get_xlim() and [ax.get_title("left") for ax in (left, right)] == ["here", "there"]
    assert [text.get_color() for text in left.texts] == [palette.BLUE, palette.GREY]
    assert [text.get_color() for text in right.texts] == [palette.GREY, palette.BLUE]
    left, _ = plotting.gains(table, title="t", metric="NDCG", panels="kind", highlight=["a", "b"]).axes
    assert [text.get_color() for text in left.texts] == [palette.ORANGE, palette.GREY]


def test_lists_side_by_side_colour_what_they_share():
    left, right = plotting.ranked(pd.DataFrame({"one": ["A", "B"], "two": ["C", "A"]}), title="t").axes
    assert [text.get_text() for text in left.texts] == ["1", "A", "2", "B"]
    assert [text.get_color() for text in left.texts[1::2]] == [palette.BLUE, palette.INK]
    assert [text.get_color() for text in right.texts[1::2]] == [palette.INK, palette.BLUE]


def test_bars_and_predictions_name_what_they_show():
    ax = plotting.bars(FRAME, title="t", highlight=["b"]).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"] and len(ax.patches) == 2
    counts = pd.DataFrame({"name": list("abcdefgh"), "true": np.arange(8.0), "predicted": np.full(8, 2.0)})
    named = plotting.predicted_against_true(counts, title="t", label="users").axes[0].texts
    assert [text.get_text() for text in named[1:]] == ["a", "b", "c", "f", "g", "h"]


def test_resampled_shows_both_intervals_over_one_axis():
    ends = pd.DataFrame([[0.1, 0.3], [0.0, 0.4]], ["users", "folds"], ["low", "high"])
    left, right = data_plots.resampled(np.linspace(0.1, 0.3, 50), [0.1, 0.2, 0.3], ends, xlabel="gain").axes
    assert left.get_title(loc="left") == "users: means of 50 resamples"
    assert right.get_title(loc="left") == "folds: 3 observations"
    assert list(left.lines[0].get_xdata()) == [0.1, 0.3] and list(right.lines[1].get_xdata()) == [0.0, 0.4]
    assert left.get_xlim() == right.get_xlim()


def test_what_no_notebook_draws_any_more_is_dropped(tmp_path, monkeypatch, run):
    monkeypatch.setenv("COLDSTART_FIGURES", str(tmp_path / "figures"))
    for name in ("kept", "gone"):
        figures.save_figure(draw(), name, FRAME, run, alt="two dots")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "99_test.ipynb").write_text(json.dumps({"source": 'show(run, "kept", figure)'}))
    assert figures.drop_stale(tmp_path) == ["gone"] and figures.drop_stale(tmp_path) == []
    assert {path.name for path in (tmp_path / "figures").glob("[a-z]*")} == {"kept.png", "kept.csv", "manifest.json"}


def test_shades_run_from_dark_to_bright():
    colours = data_plots.shades([3.0, 1.0, 2.0])
    assert [colour.startswith("#") and len(colour) == 7 for colour in colours] == [True] * 3
    light = [sum(int(colour[n : n + 2], 16) for n in (1, 3, 5)) for colour in colours]
    assert light[1] < light[2] < light[0]
    assert len(set(data_plots.shades([5.0, 5.0]))) == 1


def test_a_map_marks_what_it_names_and_needs_no_groups():
    ax = data_plots.scatter_map(
        np.arange(6.0).reshape(3, 2), ["", "", ""], {1: "one"}, title="t", xlabel="x", ylabel="y"
    ).axes[0]
    assert ax.get_legend() is None and [text.get_text() for text in ax.texts] == ["one"]
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), [[2.0, 3.0]])


def test_without_a_kernel_pictured_widgets_are_their_picture():
    shown = panels.Pictured([widgets.IntSlider()], draw(), caption="two dots")
    bundle, about = shown._repr_mimebundle_()
    assert bundle["text/plain"] == "two dots" and len(shown.children) == 1
    assert base64.b64decode(bundle["image/png"]).startswith(PNG)
    assert about["image/png"]["width"] == 760


def test_the_leads_of_a_baseline_are_the_differences_turned_round():
    table = pd.DataFrame({
        "model": ["a", "b", "c"] * 2, "baseline": "a", "shots": [1, 1, 1, 5, 5, 5],
        "difference": [0, -0.2, 0.1, 0, -0.4, -0.1], "diff_low": [0, -0.3, 0.05, 0, -0.5, -0.2],
        "diff_high": [0, -0.1, 0.2, 0, -0.3, 0.1], "better": False, "worse": [False, True, False] * 2,
    })  # fmt: skip
    ahead = beliefs.leads(table, by="shots", title="", metric="NDCG")
    assert [ax.get_title(loc="left") for ax in ahead.axes] == ["over b", "over c"]
    assert [text.get_text() for text in ahead.axes[0].texts] == ["+.200", "+.400"]
    turned = beliefs.leads(table, by="shots", title="", metric="NDCG", ahead=False)
    assert [text.get_text() for text in turned.axes[1].texts] == ["−.400", "−.100"]
    assert [text.get_color() for text in turned.axes[1].texts] == [palette.BLUE, palette.GREY]


def test_a_posterior_lies_between_a_guess_and_the_answers():
    (ax,) = beliefs.beliefs(0.6, 0.2, 0.35, 3, 0.5).axes
    peaks = [line.get_xdata()[np.argmax(line.get_ydata())] for line in ax.lines[:3]]
    assert peaks[1] < peaks[2] < peaks[0]


def test_parts_and_effects_are_points_of_which_the_named_stand_out():
    frame = pd.DataFrame({"part": [0.1, 0.4, -0.2], "effect": [0.0, 0.5, -0.1], "named": [False, True, False]})
    fig = beliefs.parts_and_effects(frame, title="t")
    plain, named, equal = fig.axes[0].lines[:3]
    assert (plain.get_xdata().tolist(), plain.get_ydata().tolist()) == ([0.1, -0.2], [0.0, -0.1])
    assert (named.get_xdata().tolist(), named.get_ydata().tolist()) == ([0.4], [0.5])
    assert equal.get_xdata().tolist() == equal.get_ydata().tolist() == [-0.2, 0.5]


def test_a_verdict_follows_its_tables():
    rows = [
        (k, m, v, k == 5 and m == "x", m == "y", 0.1 * (m == "x") - 0.1 * (m == "y"))
        for k in (1, 5)
        for m, v in (("x", 0.3), ("y", 0.1 * k), ("b", 0.4))
    ]
    columns = ["ratings", "model", "mean", "better", "worse", "difference"]
    table = pd.DataFrame(rows, columns=columns).assign(baseline="b")
    race = pd.DataFrame({"ratings": [1, 5, 5], "model": ["y", "y", "x"], "difference": [-0.2, 0.2, 0], "better": False})
    told = beliefs.verdict(table, "ratings", ("x", "y"), race)
    assert "**Y is on average ahead of x at 5 ratings, shown at none of them.**" in told
    assert "shown to be worse than one of them at 5.**" in told and "b is shown to be ahead of y at 1, 5." in told
    assert "Shown to be ahead of it: x at 5. Higher on average, not shown: x at 1." in told
    calm = table.assign(better=False, worse=False, difference=0.0)
    told = beliefs.verdict(calm, "ratings", ("x", "y"), race.assign(better=True))
    assert "ahead of x at 5 ratings, shown at 5.**" in told and told.endswith("is shown to be ahead of none.")
    assert "never shown to be worse.**" in told
    assert "**Y is never ahead of x.**" in beliefs.verdict(calm, "ratings", ("x", "y"), race.assign(difference=-0.1))


def test_worth_says_where_a_goal_lies_beyond_what_was_tried():
    assert beliefs.worth([7.2, 4.0, np.inf], [1, 5, 50]) == "7 (median of the folds; 4 to over 50)"
    assert beliefs.worth([1.0, 1.2], [1, 5]) == "at most 1 in every fold (tried from 1 to 5)"
