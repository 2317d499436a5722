"""``simbench repro``: where its document goes, in a checkout and without one."""

from pathlib import Path

import pytest

from simbench.cli.repro import ReproOptions, _reproduce
from simbench.repro import document, reproduce
from simbench.repro.steps import STEPS
from simbench.study import library


@pytest.fixture
def written(monkeypatch):
    """Where a reproduction that measures nothing would write to."""
    places = []

    class Nothing:
        findings = ()

    monkeypatch.setattr(reproduce, "measure", lambda run, steps, tell: None)
    monkeypatch.setattr(reproduce, "reproduction", lambda run, figures: Nothing)
    monkeypatch.setattr(reproduce, "failed_cells", lambda run: [])
    monkeypatch.setattr(document, "write", lambda found, *paths: places.append(paths))
    return places


def test_the_whole_is_written_to_the_repository_and_parts_into_the_results_folder(written, tmp_path):
    root = library.checkout()
    assert root is not None
    _reproduce(ReproOptions(out=tmp_path), list(STEPS))
    _reproduce(ReproOptions(out=tmp_path, quick=True), list(STEPS))
    _reproduce(ReproOptions(out=tmp_path), list(STEPS[:1]))
    _reproduce(ReproOptions(out=tmp_path, document=Path("doc.md")), list(STEPS))
    inside = (tmp_path / "paper_repro.md", tmp_path / "paper_repro.json")
    assert written == [
        (root / "paper_repro.md", root / "benchmarks" / "paper_repro.json"),
        *(inside, inside),
        (Path("doc.md"), Path("doc.json")),
    ]


def test_an_installed_wheel_writes_into_the_results_folder(written, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "checkout", lambda: None)
    _reproduce(ReproOptions(out=tmp_path), list(STEPS))
    assert written == [(tmp_path / "paper_repro.md", tmp_path / "paper_repro.json")]


def test_a_check_without_a_repository_reads_the_document_of_the_wheel(simbench, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "PACKAGE", tmp_path / "simbench")
    (tmp_path / "simbench" / "studies").mkdir(parents=True)
    _, said = simbench("repro", "--check", "--only", "risk", code=2)
    assert f"{tmp_path}/simbench/studies/paper_repro.json cannot be read" in said


def test_the_forms_have_folders_of_their_own_and_exclude_each_other(written, simbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forms = []
    monkeypatch.setattr(reproduce, "measure", lambda run, steps, tell: forms.append((run.form, str(run.out))))
    for flags in ({}, {"quick": True}, {"full": True}):
        _reproduce(ReproOptions(**flags), list(STEPS))
    assert forms == [
        ("default", "results/repro"),
        ("quick", "results/repro-quick"),
        ("full", "results/repro-full"),
    ]
    _, said = simbench("repro", "--full", "--quick", code=2)
    assert "--full and --quick exclude each other" in said
    _, said = simbench("repro", "--full", "--check", code=2)
    assert "--full and --check exclude each other" in said


def test_figures_are_shown_where_the_document_lies_beside_them(written, tmp_path, monkeypatch):
    asked = []

    class Nothing:
        findings = ()

    monkeypatch.setattr(reproduce, "reproduction", lambda run, figures: asked.append(figures) or Nothing)
    _reproduce(ReproOptions(out=tmp_path), list(STEPS))
    _reproduce(ReproOptions(out=tmp_path, quick=True), list(STEPS))
    assert asked == ["docs/img", ""]
