"""``simbench figure``: an installed figure, or a file of one's own."""

import pandas as pd
import pytest

MINE = """
from matplotlib.figure import Figure

def draw(table):
    drawing = Figure()
    drawing.subplots().plot(table.value)
    return drawing
"""


@pytest.fixture
def results(tmp_path):
    pd.DataFrame({"value": [1.0, 2.0]}).to_parquet(tmp_path / "results.parquet")
    return tmp_path


def test_a_figure_of_ones_own_is_drawn_into_the_results_folder(results, simbench, monkeypatch):
    monkeypatch.chdir(results)
    (results / "mine.py").write_text(MINE)
    out, _ = simbench("figure", "./mine.py", results)
    assert out.split() == [str(results / "mine.png"), str(results / "mine.pdf")]
    assert (results / "mine.png").read_bytes().startswith(b"\x89PNG")
    simbench("figure", results / "mine.py", results, "--to", results / "elsewhere")
    assert (results / "elsewhere.pdf").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere.py", None, "does not exist"),
        ("blank.py", "", "no function draw(table)"),
        ("broken.py", "1 / 0", "ZeroDivisionError"),
        ("bais-variance", None, "Did you mean 'bias-variance'?"),
    ],
)
def test_what_is_no_figure_is_one_sentence(name, text, message, results, simbench, monkeypatch):
    monkeypatch.chdir(results)
    if text is not None:
        (results / name).write_text(text)
    _, said = simbench("figure", name, results, code=2)
    assert message in said and said.count("\n") == 1 and not list(results.glob("*.png"))
