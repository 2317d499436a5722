"""The main comparison on the real data sets: worlds of rated responses in place of their twins."""

from dataclasses import dataclass, field

from simbench.errors import BadInput
from simbench.study.config import StudyConfig
from simbench.worlds.config import WorldConfig
from simbench.worlds.responses import RatedFile, RatingLink

# Where the data is, and the rating above which a response is good (the published thresholds). PKU-SafeRLHF is
# read as harmlessness, 3 - severity: its published direction, severe = positive, is the mirror image.
SOURCES = {
    "helpsteer": ("hub:nvidia/HelpSteer", 2.0),
    "ultrafeedback": ("hub:HuggingFaceH4/ultrafeedback_binarized", 6.5),
    "saferlhf": ("hub:PKU-Alignment/PKU-SafeRLHF", 1.5),
}


@dataclass(frozen=True)
class RealData:
    """Where the responses of the real data sets and their embeddings are.

    Parameters
    ----------
    responses : dict of str
        Sources, by data set, to use in place of the hub: a file, or ``hub:FOLDER`` of files as on the hub.
    embeddings : dict of str
        Files of features, by data set (``simbench embed`` makes them); by default text features.
    """

    responses: dict[str, str] = field(default_factory=dict)
    embeddings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, responses: list[str] | None, embeddings: list[str] | None) -> "RealData":
        """Parse the ``NAME=VALUE`` options of the command line.

        Raises
        ------
        BadInput
            If a text has another form, or the name is not that of a data set.
        """
        return cls(_by_name(responses, "--responses"), _by_name(embeddings, "--embeddings"))

    def in_place_of(self, twin: WorldConfig) -> WorldConfig:
        """Return the world of the data set whose twin is given, with the twin's law."""
        name = twin.name.partition(":")[2]
        source, threshold = SOURCES[name]
        return WorldConfig(
            name=f"hub:{name}",
            responses=RatedFile(path=self.responses.get(name, source), features=self.embeddings.get(name)),
            reward=RatingLink(link="threshold", threshold=threshold),
            behaviour=twin.behaviour,
            default_size=twin.default_size,
        )

    def study(self, config: StudyConfig) -> StudyConfig:
        """Return the study with every twin replaced by its data set, at full size."""
        worlds = tuple(self.in_place_of(world) for world in config.worlds)
        return config.model_copy(update={"worlds": worlds, "sizes": ()})


def _by_name(given: list[str] | None, flag: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or name not in SOURCES:
            raise BadInput(f"{flag} must be NAME=VALUE with NAME one of {', '.join(SOURCES)}, got {text!r}.")
        found[name] = value
    return found
