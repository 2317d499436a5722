"""Fits a reward on a log, and keeps it: weights in safetensors, all else in a JSON card, never a pickle."""

import hashlib
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import configured
from simbench.files.matrix import Matrix
from simbench.files.write import write_json, write_whole
from simbench.log.embedding_card import card_path, read_card
from simbench.log.features import PREFIX, features_of, matching_columns, matrix_of
from simbench.log.source import open_table
from simbench.log.standardise import Standardisation
from simbench.log.user_log import LogColumns, UserLog, read_log
from simbench.reward import DEFAULT_ESTIMATOR
from simbench.reward.card import CARD, Card, checked_card, estimator_of, raw_card
from simbench.reward.weights import stacks_of
from simbench.training.contract import FittedReplicates
from simbench.training.restarts import Restarts
from simbench.training.stacked_model import StackedModel
from simbench.training.trained import ran_out

WEIGHTS = "model.safetensors"
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

    @property
    def standard(self) -> Standardisation:
        """How every column of features is brought to mean 0 and spread 1."""
        described = self.card["features"]
        return Standardisation(np.array(described["mean"]), np.array(described["scale"]))

    def predict_reward(self, features: Matrix) -> np.ndarray:
        """Predict the rewards of responses.

        Parameters
        ----------
        features : Matrix, shape (m, d)
            Raw features: not standardised.

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
        return self.fitted.predict(self.standard.apply(features))[self.row]

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


def fit_read_log(user: UserLog, columns: LogColumns, name: str, parameters: dict[str, Any]) -> RewardModel:
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
        If the estimator needs the truth, does not read what the log tells, does not train, or is not a
        network.
    """
    estimator = configured(name, parameters)
    if "truth" in estimator.needs:
        raise BadInput(f"{name} needs the truth, which no log holds.")
    estimator.require(user.log)
    estimator.require_read(user.log)
    reads_context = "context" in estimator.reads(user.log)
    log = user.log if reads_context else replace(user.log, context=None)
    model = estimator.fit_replicates(log)
    fitted, row = (model.model, int(model.kept[0])) if isinstance(model, Restarts) else (model, 0)
    if not isinstance(fitted, StackedModel):
        raise BadInput(f"{name} is not a network, whose weights can be saved: choose another estimator.")
    inputs = [getattr(log, network.inputs) for network in fitted.networks]
    widths = [(log.features if x is None else x).shape[1] for x in inputs]
    card = {
        "format": FORMAT,
        "estimator": name,
        "parameters": _plain(estimator.get_params()),
        "told": [name for name in columns.told() if name != "context" or reads_context],
        "warning": _warning(model, estimator),
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
            "width": log.features.shape[1],
            "mean": user.standard.mean.tolist(),
            "scale": user.standard.scale.tolist(),
            "encoder": encoder_of(columns.features),
        },
        "context": [column.model_dump() for column in user.context] if reads_context else [],
        "log": {
            "file": user.table.short_name,
            "sha256": user.table.sha256,
            "rows": log.n_rows,
            "prompts": len(np.unique(log.groups)),
            "feedback": columns.feedback,
            "feedback_rate": float(log.feedback.mean()),
        },
        "versions": {
            "simbench": VERSION,
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "numpy")},
        },
    }
    return RewardModel(fitted, row, card)


def encoder_of(features: str) -> dict[str, Any] | None:
    """The encoder that made the features, from the card that ``simbench embed`` wrote; None without one.

    Raises
    ------
    BadInput
        If there is a card, and it does not say how the features were made.
    """
    card = card_path(Path(features))
    if features.startswith("col:") or not card.exists():
        return None
    found = read_card(card).get("encoder")
    if not isinstance(found, dict):
        raise BadInput(f"{card} does not say which encoder made the embeddings: embed again.")
    return found


def is_language_folder(folder: Path) -> bool:
    """Whether the folder holds a fine-tuned language model, rather than a head on features."""
    try:
        return raw_card((folder / CARD).read_bytes()).get("kind") == "language"
    except OSError:
        return False


def load_model(folder: str | Path, trust_code: bool = False) -> RewardModel:
    """Read a model that :meth:`RewardModel.save` wrote; it predicts exactly the same rewards.

    Parameters
    ----------
    folder : str or Path
    trust_code : bool
        Whether an estimator that no installed package registers may be imported, which runs its code.

    Raises
    ------
    BadInput
        If it is missing, damaged, of another format, or of an estimator that may not be imported.
    """
    folder = Path(folder)
    if not (folder / CARD).exists():
        raise BadInput(f"{folder} holds no model ({CARD} is missing): fit one with simbench fit.")
    if is_language_folder(folder):
        raise BadInput(f"{folder} holds a fine-tuned language model, which reads text and no features.")
    card = checked_card(folder, Card, FORMAT)
    estimator = estimator_of(card, folder, trust_code)
    try:
        content = (folder / WEIGHTS).read_bytes()
        intact = card.weights_sha256 == hashlib.sha256(content).hexdigest()
        tensors = load(content)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise BadInput(f"the weights in {folder} cannot be read ({error}): fit the model again.") from error
    if not intact:
        raise BadInput(f"the model in {folder} is damaged: weights and card differ. Fit it again.")
    networks, calibration = stacks_of(tensors, card, estimator, folder)
    first = next(iter(networks.values()))
    count = first.n_blocks * first.width if calibration is None else len(calibration)
    nothing = np.zeros(0)
    fitted = StackedModel(networks, estimator.link, calibration, count, nothing, nothing)
    kept = card.model_dump(mode="json", exclude={"weights_sha256"})
    return RewardModel(fitted, card.row, kept)


def _warning(model: FittedReplicates, estimator: Estimator) -> str | None:
    """What the fit itself warns of, and whether its epochs ran out while it was still improving."""
    limit = int(estimator.get_params()["epochs"])
    late = ran_out(model, limit)
    said = [] if (own := getattr(model, "warning", None)) is None else [own]
    if late is not None and late[0]:
        said.append(
            f"the best epoch was the last of the {limit} that were allowed: the fit may not have converged; "
            f"try --parameter epochs={4 * limit}, or a higher lr."
        )
    return " ".join(said) or None


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()}
