"""What docs/stability.md promises is what tests/stable_names.json lists: a change of it is deliberate."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

import simbench
from simbench.reward.card import Card
from simbench.reward.language.card import LanguageCard
from simbench.study.config import StudyConfig
from simbench.study.table import COLUMNS, OF_A_DRAW, OF_A_STUDY

ROOT = Path(__file__).parents[1]
PINNED = json.loads((Path(__file__).parent / "stable_names.json").read_text(encoding="utf-8"))
NOW = {
    "public names": simbench.__all__,
    "columns of results": COLUMNS,
    "columns of results of a draw": OF_A_DRAW,
    "columns of results of a study": OF_A_STUDY,
    "keys of a study": list(StudyConfig.model_fields),
    "keys of a card": list(Card.model_fields),
    "keys of a language card": list(LanguageCard.model_fields),
}


@pytest.mark.parametrize("what", PINNED)
def test_what_is_promised_to_stay_has_not_changed_unnoticed(what):
    assert list(NOW[what]) == PINNED[what]


def test_nothing_promised_is_without_a_pin():
    assert NOW.keys() == PINNED.keys()


def test_every_public_name_can_be_imported():
    assert [name for name in simbench.__all__ if not hasattr(simbench, name)] == []


def test_the_citation_names_the_version_licence_and_keywords_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
