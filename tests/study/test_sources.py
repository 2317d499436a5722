"""Code from outside is known by its content: an edit anywhere in it shows; what is ours is not looked at."""

import sys
from importlib.util import find_spec, module_from_spec

import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import CLASS_PRIORS, GROUP
from simbench.study import sources
from simbench.study.inputs import code_of
from simbench.study.sources import source_of


def package(folder, name, version="1.0"):
    """A distribution from outside, as it lies on a disk: an estimator and a method for the class prior."""
    (folder / name / "deep").mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "deep" / "loss.py").write_text("SIGN = 1\n")
    (folder / name / "prior.py").write_text("def half(log, seed):\n    return 0.5\n")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    (info / "entry_points.txt").write_text(
        f"[simbench.estimators]\n{name}-loss = {name}.deep.loss:Loss\n[simbench.class_priors]\n"
        f"{name}-half = {name}.prior:half\n"
    )


@pytest.fixture
def outside(tmp_path, monkeypatch):
    package(tmp_path, "elsewhere")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "_first", {})
    return tmp_path / "elsewhere"


@pytest.mark.parametrize(
    "name",
    [
        "naive", "sklearn:GaussianNB", "simbench_estimators.naive:Naive", "no-such", "no_such_module:Class",
        "missing.py:Class", "a b.c:Class", ":Class",
    ],
)  # fmt: skip
def test_what_comes_with_simbench_or_is_not_there_has_no_source(name):
    assert source_of(name, GROUP) is None


def test_any_file_of_a_package_from_outside_is_part_of_its_source(outside):
    before = source_of("elsewhere-loss", GROUP)
    assert before.startswith("elsewhere 1.0 sha256:") and "elsewhere" not in sys.modules
    assert source_of("elsewhere.deep.loss:Other", GROUP) == before  # by its module
    assert source_of("elsewhere-half", CLASS_PRIORS) == before
    (outside / "__pycache__").mkdir()
    (outside / "__pycache__" / "x.pyc").write_bytes(b"left by Python")
    assert source_of("elsewhere-loss", GROUP) == before
    found = {before}
    for path, content in (("prior.py", "x"), ("data.csv", "1,2"), ("deep/loss.py", "SIGN = -1\n")):
        (outside / path).write_text(content)
        found.add(source_of("elsewhere-loss", GROUP))
    assert len(found) == 4


def test_the_version_of_a_distribution_is_part_of_it(outside):
    before = source_of("elsewhere-loss", GROUP)
    info = outside.parent / "elsewhere-1.0.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("1.0", "1.1"))
    assert source_of("elsewhere-loss", GROUP) == before.replace("1.0", "1.1")


def test_a_distribution_that_is_added_to_a_place_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "added_later.py").write_text("class Kind: pass\n")
    before = source_of("added_later:Kind", "simbench.estimators")
    info = tmp_path / "added_later-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: added-later\nVersion: 3.1\n")
    (info / "top_level.txt").write_text("added_later\n")
    monkeypatch.setattr(sources, "_first", {})
    assert source_of("added_later:Kind", "simbench.estimators") == f"added-later 3.1 {before}"


def test_a_package_that_was_edited_after_it_was_imported_is_refused(outside, monkeypatch):
    before = source_of("elsewhere-half", CLASS_PRIORS)
    monkeypatch.setitem(sys.modules, "elsewhere", module_from_spec(find_spec("elsewhere")))
    assert source_of("elsewhere-half", CLASS_PRIORS) == before
    (outside / "prior.py").write_text("def half(log, seed):\n    return 0.7\n")
    with pytest.raises(BadInput, match="elsewhere was edited after this process imported it"):
        source_of("elsewhere-half", CLASS_PRIORS)
    monkeypatch.delitem(sys.modules, "elsewhere")
    assert source_of("elsewhere-half", CLASS_PRIORS) != before


def test_a_file_is_known_with_the_files_beside_it_that_it_imports(tmp_path):
    files = {
        "mine.py": "import helper\nfrom tools.deep import x\nimport numpy\n", "helper.py": "import second\n",
        "second.py": "", "unrelated.py": "", "tools/__init__.py": "", "tools/deep.py": "x = 1\n",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    found = [source_of(f"{tmp_path / 'mine.py'}:Mine", GROUP)]
    for name in ("unrelated.py", "mine.py", "helper.py", "second.py", "tools/deep.py"):
        (tmp_path / name).write_text(files[name] + "# edited\n")
        found.append(source_of(f"{tmp_path / 'mine.py'}:Mine", GROUP))
    assert found[0] == found[1] and len(set(found)) == 5
    (tmp_path / "mine.py").write_text("not Python")
    assert source_of(f"{tmp_path / 'mine.py'}:Mine", GROUP) is not None


def test_a_module_of_its_own_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "loose.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = source_of("loose:Class", GROUP)
    assert before == source_of(f"{tmp_path / 'loose.py'}:Class", GROUP)
    (tmp_path / "loose.py").write_text("x = 2\n")
    assert source_of("loose:Class", GROUP) != before


def test_beside_an_installed_module_nothing_else_is_its_own(tmp_path, monkeypatch):
    (tmp_path / "loose.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("")
    monkeypatch.setattr(sources.sysconfig, "get_path", lambda name: str(tmp_path))
    before = source_of(f"{tmp_path / 'loose.py'}:Class", GROUP)
    (tmp_path / "helper.py").write_text("x = 1\n")
    assert source_of(f"{tmp_path / 'loose.py'}:Class", GROUP) == before


def test_a_cell_names_the_code_that_it_runs_with_these_grants(outside):
    assert code_of("naive", ("propensity", "class prior:tice")) == ()
    both = code_of("elsewhere-loss", ("class prior:elsewhere-half", "class prior"))
    assert [name for name, _ in both] == ["elsewhere-loss", "elsewhere-half"]
    (outside / "prior.py").write_text("x")
    assert code_of("nnpu", ("class prior:elsewhere-half",))[0][1] != both[1][1]
