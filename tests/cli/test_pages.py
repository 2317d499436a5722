"""A study as a page: it holds what it shows, escapes what it is given, and sorts and filters in a browser."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from simbench.cli.page import build
from simbench.study.config import cells_of
from simbench.study.file import study_from
from simbench.study.results import Results, read

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def folder(simbench, tmp_path_factory):
    """A small study of three estimators in two situations."""
    out = tmp_path_factory.mktemp("page") / "out"
    small = ("--size", 100, "--worlds", 3, "--replicates", 2, "--features-dim", 4, "--bias-level", "0,1")
    simbench("run", "--estimators", "oracle,naive,ips", *small, "--out", out)
    return out


@pytest.fixture(scope="module")
def page(folder):
    return build.page_of(folder)


class Parsed(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def links(self, download: str) -> bytes:
        (found,) = [own for tag, own in self.tags if tag == "a" and own.get("download") == download]
        return base64.b64decode(str(found["href"]).partition("base64,")[2])


def test_it_fetches_nothing_and_names_nothing_twice(page):
    tags = Parsed(page).tags
    for tag, own in tags:
        assert tag not in ("link", "iframe", "img", "object") and "src" not in own
        for name in ("href", "xlink:href"):
            assert (own.get(name) or "#").startswith(("#", "data:")), (tag, own)
    names = [own["id"] for _, own in tags if "id" in own]
    assert len(set(names)) == len(names)
    inside = [own["href"] for tag, own in tags if tag == "a" and str(own.get("href")).startswith("#")]
    assert inside and {str(target)[1:] for target in inside} <= set(names)
    assert "@import" not in page and not re.search(r"url\(['\"]?http", page)


def test_what_it_offers_is_the_table_and_the_study(page, folder):
    parsed, results = Parsed(page), read(folder)
    assert parsed.links("results.csv").decode() == results.table.to_csv(index=False)
    again = study_from(yaml.safe_load(parsed.links("study.yaml")))
    assert [cell.key for cell in cells_of(again)] == [cell.key for cell in cells_of(results.config)]
    assert parsed.links("bias-variance.svg").lstrip().startswith(b"<?xml")


def test_takeaways_stand_above_the_tables_and_verdicts_beside_what_was_told(page):
    assert page.index("In 3 drawn worlds") < page.index("<table")
    heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]*)</th>", page)
    assert heads[:4] == ["estimator", "told", "verdict", "bias²"]
    assert page.count("Against the true reward</caption>") == 2


def test_what_others_wrote_is_text(folder, monkeypatch):
    results = read(folder)
    table = results.table.copy()
    table["reason"] = table["reason"].astype(object)
    table.loc[table.estimator == "ips", ["status", "reason"]] = ["failed", "<script>alert(1)</script>"]
    table["estimator"] = table.estimator.replace("naive", "<b>naive</b>")
    changed = Results(table, results.config, folder)
    monkeypatch.setattr(build, "read", lambda where: changed)
    monkeypatch.setattr(build, "notes", lambda *_: ["</ul><script>alert(2)</script>"])
    text = build.page_of(folder)
    assert "&lt;script&gt;alert(1)" in text and "&lt;b&gt;naive" in text and "&lt;/ul&gt;" in text
    assert "<script>alert" not in text and "<strong>Failed:</strong> ips" in text


def test_a_table_that_is_too_long_is_left_out_and_said_so(folder, monkeypatch):
    monkeypatch.setattr(build, "LARGEST", 10)
    text = build.page_of(folder)
    assert "too many for a page" in text and "results.csv" not in text


def test_the_command_writes_beside_the_results_or_where_it_is_told(folder, simbench, tmp_path):
    assert f"page: {folder / 'report.html'}" in simbench("report", folder).stderr
    simbench("report", folder, "--out", tmp_path / "a.html")
    assert (tmp_path / "a.html").read_bytes() == (folder / "report.html").read_bytes()
    assert "is a folder" in simbench("report", folder, "--out", tmp_path, code=2).stderr
    assert "finish the study first" in simbench("report", tmp_path, code=2).stderr


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium here")
def test_a_browser_sorts_and_filters(page, tmp_path):
    script = """<script>{
    const buttons = document.querySelectorAll("table.sortable th button");
    buttons[5].click(); // MSE of the first table, ascending
    const rows = [...document.querySelector("tbody").rows].map((row) => row.cells[0].textContent);
    filter.value = "propensity"; filter.dispatchEvent(new Event("input"));
    document.title = rows.join(" ") + "|" + shown.textContent + "|" + buttons[5].parentNode.ariaSort;
    }</script>"""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"{script}</body>"), encoding="utf-8")
    line = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    dom = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    order, shown, way = title.group(1).split("|")
    mse = read_mse(page)
    assert order.split() == sorted(mse, key=mse.__getitem__) and order.split()[0] == "oracle"
    assert shown == "4 of 12 rows" and way == "ascending"


def read_mse(page: str) -> dict[str, float]:
    """The MSE of every estimator in the first table, as the page sorts it."""
    (first, *_) = re.findall(r"<tbody>.*?</tbody>", page, re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", first, re.DOTALL)
    names = [re.search(r"<th[^>]*>([^<]*)", row).group(1) for row in rows]  # pyright: ignore[reportOptionalMemberAccess]
    values = [float(re.findall(r"data-sort=\"([^\"]*)\"", row)[2]) for row in rows]
    return pd.Series(values, names).to_dict()
