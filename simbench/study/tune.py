"""Tunes hyper-parameters by the same search for every estimator, on what a practitioner sees.

The criterion is computed on held-out feedback; the truth plays no part. If the estimator is told, or
estimates, a propensity or a class prior, the criterion is the observed likelihood: inverse propensity risks
are unbounded below, and a search over their own held-out risk would reward the settings that diverge. Else it
is the estimator's own selection loss. The criteria of different estimators are not comparable.
"""

import sqlite3
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from simbench.errors import BadInput, NotTrained
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.study.cell import Cell
from simbench.study.grants import granted, variants
from simbench.training.batches import split_by_prompt
from simbench.training.stacked_model import ModelChunks, StackedModel

SPACE = {"lr": (3e-4, 3e-2), "weight_decay": (1e-6, 1e-2)}  # log-uniform
SHIPPED = "shipped parameters"  # marks the trial at them
BATCHES = (256, 512, 1024)


@dataclass(frozen=True)
class Tuned:
    """The outcome of one search.

    Parameters
    ----------
    estimator : str
    trials : int
        Number of trials with a finite criterion.
    default, best : float
        The criterion at the shipped parameters and at the best ones found; lower is better.
    parameters : dict
        The best parameters found.
    """

    estimator: str
    trials: int
    default: float
    best: float
    parameters: dict[str, Any]


def tune(cell: Cell, trials: int, storage: Path | None = None) -> Tuned:
    """Search learning rate, weight decay and batch size for one estimator in one situation.

    Parameters
    ----------
    cell : Cell
        World, size, replicates, grants and estimator; its parameters are not read.
    trials : int
        Number of trials, the first at the shipped parameters; the others are proposed by a seeded
        tree-structured Parzen estimator (Optuna).
    storage : Path, optional
        A database file that keeps finished trials, from which a killed search continues.

    Raises
    ------
    BadInput
        If Optuna is not installed, the estimator has no learning rate to tune, or no trial was finite.
    """
    optuna = _optuna()
    kind = find(cell.estimator)
    shipped = kind().get_params()
    if not set(SPACE) <= set(shipped):
        raise BadInput(f"{cell.estimator} has no learning rate and weight decay to tune.")
    log, truth = cell.built().draw(range(cell.replicates))
    given, _ = granted(cell, kind, log, truth)
    log = type(log)(**{**vars(log), **given})
    if "truth" in kind.needs:
        log = log.with_feedback(truth.preference.astype(np.float32))

    def criterion(trial: Any) -> float:
        chosen = {name: trial.suggest_float(name, *SPACE[name], log=True) for name in SPACE}
        chosen["batch_size"] = trial.suggest_categorical("batch_size", BATCHES)
        return held_out_criterion(kind(**{**shipped, **chosen, "seed": cell.seed}), log)

    study = optuna.create_study(
        study_name=f"{cell.key}",
        sampler=optuna.samplers.TPESampler(seed=cell.seed % 2**32),  # it takes no larger one
        storage=None if storage is None else _database(storage),
        load_if_exists=True,
    )
    missing = trials - sum(trial.state.is_finished() for trial in study.trials)
    if _at_shipped(study) is None:  # also where the search was killed in the middle of that trial
        start = {name: shipped[name] for name in SPACE} | {"batch_size": 512}
        study.enqueue_trial(start, user_attrs={SHIPPED: True})
        missing = max(1, missing)
    study.optimize(criterion, n_trials=max(0, missing))
    values = [trial.value for trial in study.trials if trial.value is not None]
    done = [value for value in values if np.isfinite(value)]
    if not done:
        raise BadInput(f"{cell.estimator}: no trial gave a finite criterion.")
    first = _at_shipped(study)
    assert first is not None  # it was among those just run
    default = np.inf if first.value is None else first.value  # they diverged
    return Tuned(cell.estimator, len(done), default, study.best_value, study.best_params)


def _at_shipped(study: Any) -> Any:
    """The finished trial at the shipped parameters, or None."""
    ran = (trial for trial in study.trials if trial.state.is_finished() and SHIPPED in trial.user_attrs)
    return next(ran, None)


def held_out_criterion(estimator: Estimator, log: FeedbackLog) -> float:
    """Fit an estimator, and return the criterion of the search: a mean over replicates, lower is better."""
    try:
        model = estimator.fit_replicates(log)
    except NotTrained:
        return np.inf
    assert isinstance(model, StackedModel | ModelChunks)
    prepared = estimator.prepare(log)
    propensity = prepared.propensity
    if propensity is None and prepared.class_prior is not None:
        # the label frequency is the propensity that SCAR with this prior amounts to
        rate = prepared.feedback_rate[:, None]
        propensity = rate / np.reshape(prepared.class_prior, (-1, 1))
    if propensity is None or estimator.ranks_only:
        return float(model.held_out_loss.mean())
    _, rows = split_by_prompt(log.groups, estimator.validation_share, seed_of(estimator.seed, "split"))
    alpha = np.broadcast_to(propensity, log.feedback.shape)[:, rows]
    p = np.clip(model.predict(log.features[rows]) * alpha, 1e-6, 1 - 1e-6)
    r = log.feedback[:, rows]
    shown = True if log.shown is None else log.shown[:, rows]
    return float(-(r * np.log(p) + (1 - r) * np.log1p(-p)).mean(where=shown))


def tuning_cell(name: str, cell: dict[str, Any], grant: tuple[str, ...]) -> Cell:
    """The cell in which an estimator is tuned.

    Parameters
    ----------
    name : str
        The estimator.
    cell : dict
        The remaining fields of :class:`simbench.study.cell.Cell`: world, bias level, size and so on.
    grant : tuple of str
        What may be told; of several variants of one base, the first is.

    Raises
    ------
    BadInput
        If the estimator needs something that is not granted.
    """
    kind = find(name)
    told = variants(kind, grant)[0]
    missing = kind.needs - {"truth"} - {entry.split(":")[0] for entry in told}
    if missing:
        raise BadInput(f"{name} needs {' and '.join(sorted(missing))}: grant it.")
    return Cell(estimator=name, parameters={}, grant=told, **cell)


def _database(path: Path) -> str:
    """The URL of a database file for trials, which Optuna makes if it is not there.

    Raises
    ------
    BadInput
        If it cannot be opened, or holds something else.
    """
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    try:
        with closing(sqlite3.connect(path)) as database:
            held = {name for (name,) in database.execute(tables)}
    except (sqlite3.Error, OSError) as error:
        raise BadInput(f"{path} cannot hold the trials: {error}.") from error
    if held and "trials" not in held:
        raise BadInput(f"{path} is a database of something else: choose another file for the trials.")
    return f"sqlite:///{quote(str(path))}"


def _optuna() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import optuna
    except ImportError as error:
        raise BadInput("tuning needs Optuna: pip install 'simbench-rm[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
