"""Planted faults still fit the code: each text stands once where it is to be replaced."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ROOMS = sorted((ROOT / "tests" / "mutation" / "faults").glob("*.yaml"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.stem)
def test_every_fault_can_be_planted(room):
    faults = yaml.safe_load(room.read_text())["faults"]
    texts = {file: (ROOT / file).read_text() for file in {fault["file"] for fault in faults}}
    stale = [
        f"{fault['file']}: {fault['old']!r} stands there {found} times"
        for fault in faults
        if (found := texts[fault["file"]].count(fault["old"])) != 1
    ]
    assert len(faults) > 10 and stale == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.stem)
def test_the_tests_that_are_to_find_a_fault_are_there(room):
    content = yaml.safe_load(room.read_text())
    named = {*content["tests"], *(near for fault in content["faults"] for near in fault.get("near", ()))}
    assert [path for path in named if not (ROOT / path.split("::")[0]).exists()] == []
