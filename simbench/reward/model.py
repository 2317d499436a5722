"""Fits a reward on a log, and keeps it: weights in safetensors, all else in a JSON card, never a pickle."""

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.estimator.registry import configured
from simbench.files.matrix import Matrix
from simbench.files.write import write_json, write_whole
from simbench.log.embedding_card import card_path, read_card
from simbench.log.encoding import scaled_features
from simbench.log.features import PREFIX, features_of, matching_columns, matrix_of
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns, UserLog, read_log
from simbench.reward import DEFAULT_ESTIMATOR
from simbench.training.contract import Network
from simbench.training.network import StackedMLP
from simbench.training.restarts import Restarts
from simbench.training.stacked_model import StackedModel

WEIGHTS, CARD = "model.safetensors", "card.json"
FORMAT = 2


@dataclass(frozen=True)
class RewardModel:
    """A reward fitted on one log.

    Parameters
    ----------
    fitted : StackedModel
        Fits that were trained in one stack.
    row : int
        Number of the fit in the stack that is the reward.
    card : dict
        What it was fitted on, what it was told, versions, hashes.
    """

    fitted: StackedModel
    row: int
    card: dict[str, Any]

    def predict_reward(self, features: Matrix) -> np.ndarray:
        """Predict the rewards of responses.

        Parameters
        ----------
        features : Matrix, shape (m, d)
            Raw features: not scaled.

        Returns
        -------
        ndarray, shape (m,), float64, in [0, 1]

        Raises
        ------
        BadInput
            If the width d is not the one that the model was fitted on.
        """
        width = self.card["features"]["width"]
        if features.ndim != 2 or features.shape[1] != width:
            raise BadInput(f"the model reads {width} features, got an array of shape {features.shape}.")
        return self.fitted.predict(scaled_features(features, self.card["features"]["scale"]))[self.row]

    def score_table(self, source: Any, features: str | None = None) -> np.ndarray:
        """Predict the rewards of the responses of a table, whose features are found by the names of the fit.

        Parameters
        ----------
        source : str, Path, DataFrame, Table, or a table of Arrow or polars
            As :func:`simbench.log.source.open_table` opens it.
        features : str, optional
            A file of embeddings, or ``col:PREFIX``; by default the columns that the model was fitted on.

        Returns
        -------
        ndarray, shape (n,), float64, in [0, 1]

        Raises
        ------
        BadInput
            If columns are missing, or there are more of them than the model was fitted on.
        """
        table, known = open_table(source), self.card["features"]["columns"]
        by_column = features is None or features.startswith(PREFIX)
        if features is None and known is None:
            raise BadInput("the model was fitted on a file of embeddings: say --features.")
        if known is not None and by_column:
            return self.predict_reward(matrix_of(matching_columns(known, features, table), table))
        roles = {self.card["log"]["feedback"]: "the feedback"}
        return self.predict_reward(features_of(features or "", table, roles).matrix)

    def save(self, folder: str | Path) -> None:
        """Write the weights, then the card that holds their hash: without a card there is no model."""
        folder = Path(folder)
        tensors = {
            f"network.{number}": stacked.in_blocks().parameters
            for number, stacked in enumerate(self.fitted.networks.values())
        }
        if self.fitted.calibration is not None:
            tensors["calibration"] = self.fitted.calibration.cpu()
        content = save(tensors)
        write_whole(folder / WEIGHTS, lambda to: to.write_bytes(content))
        write_json(folder / CARD, {**self.card, "weights_sha256": hashlib.sha256(content).hexdigest()})


def fit_log(
    source: Any, columns: LogColumns, estimator: str = DEFAULT_ESTIMATOR, **parameters: Any
) -> RewardModel:
    """Fit a reward on a log file.

    Parameters
    ----------
    source : str, Path, DataFrame, Table, or a table of Arrow or polars
        As :func:`simbench.log.source.open_table` opens it: a .parquet, .csv or .jsonl file, a URL, a frame.
    columns : LogColumns
        Which column holds what.
    estimator : str
        A name of ``simbench list estimators``, or ``package.module:Class``.
    **parameters
        Hyper-parameters of the estimator.

    Returns
    -------
    RewardModel

    Raises
    ------
    BadInput
        If the log cannot be used, or the estimator is not a network, whose weights could be saved.
    """
    configured(estimator, parameters)  # what is wrong with them is said before anything is read
    return fit_read_log(read_log(source, columns), columns, estimator, parameters)


def fit_read_log(
    user: UserLog, columns: LogColumns, name: str, parameters: dict[str, Any]
) -> RewardModel:
    """Fit a reward on a log that was read already, as :func:`fit_log` does.

    Parameters
    ----------
    user : UserLog
    columns : LogColumns
    name : str
        Name of the estimator.
    parameters : dict
        Hyper-parameters of the estimator.

    Raises
    ------
    BadInput
        If the estimator needs the truth, or is not a network.
    """
    estimator = configured(name, parameters)
    if "truth" in estimator.needs:
        raise BadInput(f"{name} needs the truth, which no log holds.")
    model = estimator.fit_replicates(user.log)
    fitted, row = (model.model, int(model.kept[0])) if isinstance(model, Restarts) else (model, 0)
    if not isinstance(fitted, StackedModel):
        raise BadInput(f"{name} is not a network, whose weights can be saved: choose another estimator.")
    inputs = [getattr(user.log, network.inputs) for network in fitted.networks]
    widths = [(user.log.features if x is None else x).shape[1] for x in inputs]
    card = {
        "format": FORMAT,
        "estimator": name,
        "parameters": _plain(estimator.get_params()),
        "told": columns.told(),
        "warning": getattr(model, "warning", None),
        "row": row,
        "held_out_loss": float(fitted.held_out_loss[row]),
        "epochs": int(fitted.epochs[row]),
        "networks": [
            {"heads": list(n.heads), "inputs": n.inputs, "width": width}
            for n, width in zip(fitted.networks, widths, strict=True)
        ],
        "features": {
            "source": columns.features,
            "columns": None if user.feature_columns is None else list(user.feature_columns),
            "left_out": list(user.left_out),
            "width": user.log.features.shape[1],
            "scale": user.scale,
            "encoder": encoder_of(columns.features),
        },
        "context": [column.model_dump() for column in user.context],
        "log": {
            "file": user.table.short_name,
            "sha256": user.table.sha256,
            "rows": user.log.n_rows,
            "prompts": len(np.unique(user.log.groups)),
            "feedback": columns.feedback,
            "feedback_rate": float(user.log.feedback.mean()),
        },
        "versions": {
            "simbench": VERSION,
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "numpy")},
        },
    }
    return RewardModel(fitted, row, card)


def encoder_of(features: str) -> dict[str, Any] | None:
    """The encoder that made the features, from the card that ``simbench embed`` wrote; None without one."""
    card = card_path(Path(features))
    if features.startswith("col:") or not card.exists():
        return None
    return read_card(card)["encoder"]


def is_language_folder(folder: Path) -> bool:
    """Whether the folder holds a fine-tuned language model, rather than a head on features."""
    try:
        return json.loads((folder / CARD).read_text()).get("kind") == "language"
    except (OSError, ValueError, AttributeError):
        return False


def load_model(folder: str | Path) -> RewardModel:
    """Read a model that :meth:`RewardModel.save` wrote; it predicts exactly the same rewards.

    Raises
    ------
    BadInput
        If it is missing, damaged, or of another format.
    """
    folder = Path(folder)
    if not (folder / CARD).exists():
        raise BadInput(f"{folder} holds no model ({CARD} is missing): fit one with simbench fit.")
    if is_language_folder(folder):
        raise BadInput(f"{folder} holds a fine-tuned language model, which reads text and no features.")
    try:
        card = json.loads((folder / CARD).read_text())
        content = (folder / WEIGHTS).read_bytes()
        intact = card["weights_sha256"] == hashlib.sha256(content).hexdigest()
        tensors = load(content)
    except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
        raise BadInput(f"the model in {folder} is damaged ({error}): fit it again.") from error
    if not intact:
        raise BadInput(f"the model in {folder} is damaged: weights and card differ. Fit it again.")
    if card["format"] != FORMAT:
        raise BadInput(f"the model in {folder} is of format {card['format']}, this simbench reads {FORMAT}.")
    parameters = {key: tuple(v) if isinstance(v, list) else v for key, v in card["parameters"].items()}
    estimator = configured(card["estimator"], parameters)
    networks = {
        Network(tuple(described["heads"]), described["inputs"]): StackedMLP.of(
            tensors[f"network.{number}"],
            [described["width"], *estimator.hidden, len(described["heads"])],
        )
        for number, described in enumerate(card["networks"])
    }
    calibration = tensors.get("calibration")
    count = next(iter(networks.values())).n_blocks * next(iter(networks.values())).width
    count = count if calibration is None else len(calibration)
    nothing = np.zeros(0)
    fitted = StackedModel(networks, estimator.link, calibration, count, nothing, nothing)
    return RewardModel(fitted, card["row"], {k: v for k, v in card.items() if k != "weights_sha256"})


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()}
