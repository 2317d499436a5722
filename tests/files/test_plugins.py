"""Plug-ins are found by name, and no distribution takes the place of another."""

import pytest

from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.files.plugins import is_own, load, plugin, plugin_names


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a distribution that registers names in a group, each standing for some code."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution, group, **names):
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in names.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
        return tmp_path

    return install


def test_two_distributions_that_register_one_name_are_refused_and_named(installed):
    installed("acme", registry.GROUP, naive="acme:Naive", own="acme:Own")
    with pytest.raises(BadInput, match=r"acme and simbench-rm both register 'naive'.*uninstall"):
        registry.find("naive")
    assert plugin(registry.GROUP, "own").value == "acme:Own"
    assert registry.find("oracle").name == "oracle"


def test_a_factory_that_two_register_is_refused_too(installed):
    installed("acme", registry.GROUP, sklearn="acme:named")
    with pytest.raises(BadInput, match="acme and simbench-rm both register 'sklearn'"):
        registry.find("sklearn:LogisticRegression")


def test_whose_a_plugin_is_shows_without_importing_it(installed):
    installed("acme", registry.GROUP, broken="no_such_module:Estimator")
    assert not is_own(plugin(registry.GROUP, "broken")) and is_own(plugin(registry.GROUP, "naive"))
    assert plugin(registry.GROUP, "absent") is None and not is_own(None)
    outside = ["broken", "broken:argument", "package.module:Class", "a/file.py:Class"]
    outside += ["simbench_estimators.naive:Naive"]
    assert [registry.is_from_outside(name) for name in outside] == [True] * 5
    assert not any(
        map(registry.is_from_outside, ["naive", "sklearn:LogisticRegression", "dr@click-observed"])
    )


def test_a_module_that_ends_the_process_is_a_plugin_that_cannot_be_imported(installed):
    folder = installed("acme", registry.GROUP, quits="acme_quits:Estimator")
    (folder / "acme_quits.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(BadInput, match=r"'quits' cannot be imported: it calls sys.exit\(0\)"):
        load(plugin(registry.GROUP, "quits"))


def test_names_are_listed_once(installed):
    installed("acme", registry.GROUP, naive="acme:Naive", zz="acme:Z")
    found = plugin_names(registry.GROUP)
    assert found == sorted(set(found)) and "zz" in found and "naive" in found
