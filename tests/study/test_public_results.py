"""The public names: results in memory, on disk, as words and as a picture."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import simbench as sb

SMALL = {
    "worlds": ["exclusive"],
    "bias_levels": [0.0, 0.8],
    "sizes": [300],
    "replicates": 3,
    "estimators": ["oracle", "naive", "bpr"],
    "parameters": {name: {"epochs": 2} for name in ("oracle", "naive", "bpr")},
}


@pytest.fixture(scope="module")
def results():
    return sb.run(**SMALL)


def test_verdicts_are_the_rows_of_the_table(results):
    found = results.verdicts()
    assert found[["bias_level", "estimator"]].to_numpy().tolist() == [
        [level, name] for level in (0.0, 0.8) for name in ("oracle", "naive")
    ]
    rows = results.table.query("metric == 'distance2'")
    assert found.distance2.tolist() == rows.value.tolist() and found.low.tolist() == rows.low.tolist()
    assert found.verdict.tolist()[::2] == ["reference"] * 2 and found.told.tolist()[:2] == [
        "truth",
        "nothing",
    ]


def test_in_memory_in_processes_and_in_a_folder_the_table_is_the_same(results, tmp_path):
    for options in ({"jobs": 2}, {"out": tmp_path / "out"}):
        other = sb.run(**SMALL, **options).table
        pd.testing.assert_frame_equal(results.table.drop(columns="seconds"), other.drop(columns="seconds"))
    again = sb.read(tmp_path / "out")
    assert again.config == results.config and again.to_markdown() == results.to_markdown()


def test_results_take_their_memory_with_them():
    found = sb.run(**{**SMALL, "estimators": ["oracle"], "bias_levels": [0.0], "parameters": {}})
    folder = found.folder
    assert (folder / "results.parquet").exists()
    del found
    assert not folder.exists()


def test_a_study_by_name_and_one_that_was_read_can_be_changed(results):
    short = {"sizes": [300], "replicates": 2, "estimators": ["oracle"], "bias_levels": [0.0]}
    assert sb.run("noise", **short, parameters={}).config.replicates == 2
    assert sb.run(results.config, **short, parameters={}).config.worlds == results.config.worlds


def test_words_and_pictures(results):
    markdown, latex, page = results.to_markdown(), results.to_latex(), results._repr_html_()
    assert markdown.count("| naive | nothing |") == 2 and "bias level 0.8" in markdown
    assert latex.count(r"\\begin{table}".replace("\\\\", "\\")) == 2
    assert page.count("<table") == 2 and "ranks only" in page
    assert results.figure("bias-variance").axes
    assert repr(results).startswith("Results of 2 situations")
    with pytest.raises(sb.BadInput, match=r"no figure 'bias-varience'.*bias-variance"):
        results.figure("bias-varience")


def test_notes_name_their_situation_where_there_are_several():
    shared = {**SMALL, "worlds": ["shared"], "estimators": ["oracle", "implicitrm"], "parameters": {}}
    notes = sb.run(**shared).notes
    assert next(note for note in notes if "implicitrm" in note).startswith("shared, bias level 0")


def test_a_world_by_name():
    low, high = (sb.world("exclusive", bias_level=level, size=200, seed=3, test_size=100) for level in (0, 2))
    assert np.array_equal(low.train.features, high.train.features) and low.config.responses.test_size == 100
    assert len(sb.world("signals", size=200).train.reward) == 200
    for wrong, message in (
        ({"name": "exclusiv"}, "Did you mean 'exclusive'"),
        ({"action_rate": 2}, "action_rate"),
        ({"mis_click": 0.1}, "mis_click"),
    ):
        with pytest.raises(sb.BadInput, match=message):
            sb.world(**wrong)


def test_check_takes_names_and_classes():
    by_name, by_class = sb.check("ips"), sb.check(sb.find("ips"))
    assert by_name.set_index("case").verdict["known α"] == "exactly unbiased"
    pd.testing.assert_frame_equal(by_name, by_class)


def test_import_is_light_and_every_public_name_is_there():
    code = (
        "import sys, simbench as sb\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert [getattr(sb, name) for name in sb.__all__] and sb.__version__\n"
        "try: sb.nothing\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "module 'simbench' has no attribute 'nothing'\n", done.stderr
    assert set(sb.__all__) <= set(dir(sb))


def test_the_docstring_of_the_package_is_true():
    import doctest

    assert doctest.testmod(sb).failed == 0
