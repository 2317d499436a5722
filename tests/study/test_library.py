"""The studies that travel: those of the checkout, else those that a wheel carries."""

import tomllib

import pytest

from simbench.errors import BadInput
from simbench.study import library


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package as from a wheel, with one study, and somebody else's ``benchmarks`` beside it."""
    package = tmp_path / "site-packages" / "simbench"
    (package / "studies").mkdir(parents=True)
    (package / "studies" / "mine.yaml").write_text("# What I\n# asked. And more.\nseed: 1\n")
    (package.parent / "benchmarks").mkdir()
    monkeypatch.setattr(library, "PACKAGE", package)
    return package


def test_a_checkout_has_its_own():
    root = library.checkout()
    assert root is not None and library.folder() == root / "benchmarks"
    assert library.find("variance") == root / "benchmarks" / "variance.yaml"


def test_an_installed_wheel_has_what_it_carries(installed):
    assert library.checkout() is None and library.folder() == installed / "studies"
    assert library.names() == ["mine"] and library.find("mine") == installed / "studies" / "mine.yaml"
    assert library.shows("mine") == "What I asked"
    with pytest.raises(BadInput, match=r"no study 'mime'\. Did you mean 'mine'"):
        library.find("mime")


def test_a_checkout_goes_before_what_a_build_left_in_the_package(installed):
    (installed.parent / "pyproject.toml").write_text("")
    assert library.folder() == installed.parent / "benchmarks"


def test_an_installation_without_studies_says_so(installed):
    (installed / "studies" / "mine.yaml").unlink()
    (installed / "studies").rmdir()
    with pytest.raises(BadInput, match="install simbench-rm again"):
        library.names()


def test_a_wheel_carries_every_study_and_what_the_reproduction_reads():
    root = library.checkout()
    assert root is not None
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = [*(f"benchmarks/{name}.yaml" for name in library.names()), "benchmarks/throughput.py"]
    wanted += ["benchmarks/paper_repro.json", "paper_repro.md"]
    assert build["force-include"] == {path: f"simbench/studies/{path.split('/')[-1]}" for path in wanted}
    assert all((root / path).is_file() for path in wanted)
