"""Data sets of the Hugging Face hub as rated responses: ``hub:OWNER/DATASET[@REVISION][:SPLIT]``.

The paper's three data sets are recognised by their columns, so that a local copy, a fork or a newer edition
of the same layout loads in the same way. Any other data set is used as it is; it needs one response per row.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench.errors import BadInput
from simbench.files.fingerprint import fingerprint
from simbench.files.network import hub_reachable

PREFIX = "hub:"
MISSING = "data sets of the hub need datasets: pip install 'simbench-rm[hub]'."
SPLITS = ("train", "train_prefs")  # the first of these that there is


def is_hub(source: str | Path) -> bool:
    """Return whether ``source`` names a data set of the hub, or a folder with the files of one."""
    return str(source).startswith(PREFIX)


def read_hub(source: str | Path) -> pd.DataFrame:
    """Load a data set with one response per row.

    The paper's data sets come out with the columns ``prompt``, ``response``, ``rating`` (higher is better)
    and ``group``.

    Parameters
    ----------
    source : str
        ``hub:nvidia/HelpSteer``, ``hub:HuggingFaceH4/ultrafeedback_binarized:test_prefs``,
        ``hub:PKU-Alignment/PKU-SafeRLHF@main``, or ``hub:FOLDER`` with the files of such a repository.

    Raises
    ------
    BadInput
        If ``datasets`` is missing, the hub cannot be reached, or there is no such data set or split.
    """
    name, revision, split = _parse(str(source))
    frame = _load(name, revision, split)
    for layout in LAYOUTS:
        if set(layout.columns) <= set(frame):
            return layout.read(frame)
    return frame


def hub_fingerprint(source: str | Path) -> str:
    """Return what identifies the content of a data set: that of its folder, or its commit on the hub.

    Returns
    -------
    str
        ``sha256:...`` or ``commit:...``; without a network the commit that this machine holds, and
        ``commit:unknown`` if it holds none.
    """
    name, revision, _ = _parse(str(source))
    if Path(name).is_dir():
        return fingerprint(name)
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_CACHE

    wanted = revision or "main"
    if hub_reachable():
        try:
            return f"commit:{huggingface_hub.HfApi().dataset_info(name, revision=wanted).sha}"
        except Exception as error:  # its own kinds, and those of the libraries below
            raise BadInput(_why(name, False, error)) from error
    held = Path(HF_HUB_CACHE, f"datasets--{name.replace('/', '--')}", "refs", wanted)
    return f"commit:{held.read_text('utf-8').strip() if held.is_file() else 'unknown'}"


def helpsteer(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out HelpSteer (Wang et al. 2023) or HelpSteer2: the rating is ``helpfulness``, 0 to 4, by people.

    A prompt has up to four responses, and is the group.
    """
    rating = _within(frame["helpfulness"], 0, 4)
    return pd.DataFrame(
        {"prompt": frame["prompt"], "response": frame["response"], "rating": rating, "group": frame["prompt"]}
    )


def ultrafeedback(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out the binarized form of UltraFeedback (Cui et al. 2023, Tunstall et al. 2023).

    The rating is GPT-4's overall score, 1 to 10. Every prompt gives two rows, the chosen response and then
    the rejected one. The data hold each as a list of messages, of which the last is the response.
    """
    group = frame["prompt_id"] if "prompt_id" in frame else frame["prompt"]
    sides = [
        pd.DataFrame(
            {
                "prompt": frame["prompt"],
                "response": [_last_message(talk) for talk in frame[role]],
                "rating": pd.to_numeric(frame[f"score_{role}"], errors="coerce"),
                "group": group,
                "role": role,
            }
        )
        for role in ("chosen", "rejected")
    ]
    return _interleaved(sides)


def saferlhf(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out PKU-SafeRLHF (Ji et al. 2024): the rating is ``3 - severity``, so 3 is harmless and 0 severe.

    The severity levels of the data, 0 to 3, mean *higher = worse*. The published code of the paper trained
    on them as they are, with *severe = positive*: its reward prefers harm. Here a higher rating is better,
    as everywhere; the published direction is that of ``1 - reward``. Its threshold, severity above 1.5, is
    ``--link threshold --threshold 1.5`` here too.

    Every line gives two rows, one per response; the prompt is the group, since several lines may share it.
    """
    sides = [
        pd.DataFrame(
            {
                "prompt": frame["prompt"],
                "response": frame[f"response_{side}"],
                "rating": 3 - _within(frame[f"response_{side}_severity_level"], 0, 3),
                "group": frame["prompt"],
            }
        )
        for side in (0, 1)
    ]
    return _interleaved(sides)


@dataclass(frozen=True)
class _Layout:
    columns: tuple[str, ...]
    read: Callable[[pd.DataFrame], pd.DataFrame]


LAYOUTS = (
    _Layout(("prompt", "response", "helpfulness"), helpsteer),
    _Layout(("prompt", "chosen", "rejected", "score_chosen", "score_rejected"), ultrafeedback),
    _Layout(
        (
            *("prompt", "response_0", "response_1"),
            *("response_0_severity_level", "response_1_severity_level"),
        ),
        saferlhf,
    ),
)


def _interleaved(sides: list[pd.DataFrame]) -> pd.DataFrame:
    """Row 0 of every side, then row 1 of every side, and so on."""
    return pd.concat(sides).sort_index(kind="stable").reset_index(drop=True)


def _within(levels: pd.Series, low: float, high: float) -> pd.Series:
    """Levels as numbers; a level outside the scale becomes NaN, which is no rating."""
    numbers = pd.to_numeric(levels, errors="coerce")
    return numbers.where(numbers.between(low, high)).astype(float)


def _last_message(talk: Any) -> str | None:
    """Content of the last message; a plain string is the response itself."""
    if isinstance(talk, list | tuple | np.ndarray):
        return talk[-1].get("content") if len(talk) else None
    return talk if isinstance(talk, str) else None


def _parse(source: str) -> tuple[str, str | None, str | None]:
    """Split a source into name or folder, revision and split."""
    rest = source.removeprefix(PREFIX)
    if rest and Path(rest).expanduser().is_dir():  # whatever signs its path holds
        return str(Path(rest).expanduser()), None, None
    rest, _, split = rest.partition(":")
    name, _, revision = rest.partition("@")
    if name and Path(name).expanduser().is_dir():
        name = str(Path(name).expanduser())
    elif not name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BadInput(
            f"{source}: give hub:OWNER/DATASET, with @REVISION and :SPLIT where wanted, or a folder."
        )
    return name, revision or None, split or None


def _load(name: str, revision: str | None, split: str | None) -> pd.DataFrame:
    try:
        import datasets
    except ImportError as error:
        raise BadInput(MISSING) from error
    local = Path(name).is_dir()
    with _bars_on_a_terminal_only(datasets), _offline_unless(datasets, local or hub_reachable()):
        try:
            found = datasets.load_dataset(name, revision=revision)
        except Exception as error:  # each library below raises its own; the first line says which file
            raise BadInput(_why(name, local, error)) from error
    assert isinstance(found, datasets.DatasetDict)
    wanted = split or next((usual for usual in SPLITS if usual in found), next(iter(found)))
    if wanted not in found:
        raise BadInput(f"{name} has no split {wanted!r}; it has: {', '.join(map(str, found))}.")
    frame = found[wanted].to_pandas()
    assert isinstance(frame, pd.DataFrame)
    return frame


def _why(name: str, local: bool, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
    if local:
        return f"the folder {name} cannot be read as a data set: {first}."
    if not hub_reachable():
        return (
            f"data set {name} is not on this machine and the Hugging Face hub cannot be reached: "
            "give hub:FOLDER with the files of the data set."
        )
    return f"data set {name} cannot be loaded from the Hugging Face hub: {first}."


@contextmanager
def _offline_unless(datasets: Any, reachable: bool) -> Iterator[None]:
    """Without a network, use only what is cached and do not retry, which would take half a minute."""
    import huggingface_hub.constants as hub

    places: tuple[Any, ...] = (hub, datasets.config)
    before = [place.HF_HUB_OFFLINE for place in places]
    if not reachable:
        for place in places:
            place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


@contextmanager
def _bars_on_a_terminal_only(datasets: Any) -> Iterator[None]:
    if sys.stderr.isatty() or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
