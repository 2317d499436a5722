"""Diagnoses a log: calibration, restarts, compatible mean rewards, overlap, advice, and a verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import configured, likelihood
from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.advice import ENOUGH, Worth, worth_of_knowledge
from simbench.reward.diagnosis.click_model import Calibration, click_calibration
from simbench.reward.diagnosis.context import ContextTest, context_test
from simbench.reward.diagnosis.cross_fit import simplest, unseen_clicks
from simbench.reward.diagnosis.profile import Profile, profile_likelihood
from simbench.score.weights import effective_sample_share
from simbench.training.restarts import RANKS_ALIKE, Restarts, train_restarts
from simbench.training.trained import require_trained

RESTARTS = 8
LEVEL_DECIDED = 0.3  # widest set of compatible mean rewards at which the level is
HARDLY_LESS = 0.95  # of the expected error: knowledge that leaves so much of it is not recommended
MISFIT = 0.1  # gap of a calibration bin, in probability, beyond which the click model is not believed
IDENTIFIED, RANKING_ONLY, NOT_IDENTIFIED = "identified", "ranking identified, level not", "not identified"
MISFITS = "the click model does not fit"


@dataclass(frozen=True)
class Overlap:
    """How much the fitted propensity leaves to learn from.

    Parameters
    ----------
    quantiles : dict of float
        Quantiles of ``α̂`` at .01, .5 and .99.
    below_5_percent : float
        Share of the responses with ``α̂ < .05``, whose missing clicks say next to nothing.
    effective_sample_share : float
        Of the weights ``1/α̂`` over the clicks, see :func:`simbench.score.weights.effective_sample_share`.
    """

    quantiles: dict[float, float]
    below_5_percent: float
    effective_sample_share: float


@dataclass(frozen=True)
class Diagnosis:
    """What a log says about the reward fitted on it.

    Parameters
    ----------
    log : FeedbackLog
    restarts : Restarts
    calibration : Calibration
    profile : Profile or None
        None if the log tells the class prior, which is the mean reward.
    propensity : ndarray, shape (n,), in [0, 1]
        ``α̂`` of the kept fit.
    overlap : Overlap
    advice : list of Worth
        Empty if none was asked for.
    context : ContextTest or None
        Whether the context moves clicks; None if there is none, or if labels, or responses whose users always
        act, identify the reward without it.
    """

    log: FeedbackLog
    restarts: Restarts
    calibration: Calibration
    profile: Profile | None
    propensity: np.ndarray
    overlap: Overlap
    advice: list[Worth]
    context: ContextTest | None = None

    @property
    def verdict(self) -> str:
        """One of :data:`IDENTIFIED`, :data:`RANKING_ONLY`, :data:`NOT_IDENTIFIED`, :data:`MISFITS`."""
        if self.rank_agreement < RANKS_ALIKE or not self.context_moves:
            return NOT_IDENTIFIED
        if not self.fits:
            return MISFITS
        if self.profile is not None and self.profile.width > LEVEL_DECIDED:
            return RANKING_ONLY
        return IDENTIFIED

    @property
    def context_moves(self) -> bool:
        """Whether the log shows that the context, if the answer rests on one, moves clicks at all."""
        return self.context is None or self.context.moves

    @property
    def rank_agreement(self) -> float:
        """The smallest rank correlation of two rewards that the log does not tell apart."""
        of_restarts = float(self.restarts.rank_agreement[0])
        return of_restarts if self.profile is None else min(of_restarts, self.profile.rank_agreement)

    @property
    def fits(self) -> bool:
        """Whether the click model fits: calibrated within :data:`MISFIT`, or not rejected at level .001."""
        return self.calibration.largest_gap <= MISFIT or self.calibration.p_value > 1e-3

    @property
    def summary(self) -> str:
        """The verdict for a decision maker, in a few sentences."""
        sentences = {
            IDENTIFIED: "The log decides both the ranking of responses and, within the set of mean rewards "
            "given here, how good they are. The reward can be used, as far as its assumption holds: that "
            "context moves only whether users act.",
            RANKING_ONLY: "The log decides which responses are better, not how good they are: use the reward "
            "to rank, and do not read it as a probability.",
            NOT_IDENTIFIED: "The log does not decide between rewards that rank responses differently: fits "
            "of equal likelihood disagree. Do not use a reward fitted on it without further knowledge.",
            MISFITS: "On feedback that it has not seen, the fitted click probability is off by up to "
            f"{self.calibration.largest_gap:.2f}: whatever the fits agree on, the model of how users act is "
            "wrong, or prompts are too few to hold any out. Do not use the reward.",
        }
        said = sentences[self.verdict]
        if self.context is not None and not self.context.moves:
            p = f"{self.context.p_value:.2g}"
            said = (
                f"What was named as context does not move clicks (p = {p}): nothing in the "
                "log tells how good a response is from how readily users act on it. Do not use a reward "
                "fitted on it without further knowledge."
            )
        return " ".join([said, self._recommendation()]).strip()

    @property
    def believed_advice(self) -> list[Worth]:
        """The advice; none if the click model does not fit, since the advice is derived from it."""
        return [] if self.verdict == MISFITS else self.advice

    def _recommendation(self) -> str:
        if not self.believed_advice:
            return ""
        now, best = self.advice[0], self.advice[1]
        labels = next(worth for worth in self.advice if worth.labels)
        if best.rmse > HARDLY_LESS * now.rmse:
            return f"Nothing further that was tried lowers the expected error, {now.rmse:.2f}, by much."
        text = f"Most would be gained by {best.knowledge} (expected error {now.rmse:.2f} to {best.rmse:.2f})"
        if labels is not best:
            reach = "would bring it to" if labels.rmse <= ENOUGH else "would only bring it to"
            text += f"; {labels.knowledge} {reach} {labels.rmse:.2f}"
        return text + "."


def estimator_with(**parameters: Any) -> Estimator:
    """The estimator by which logs are diagnosed, with these hyper-parameters, each checked.

    Raises
    ------
    BadInput
        If it does not take one of them, or one is out of its range.
    """
    kind = likelihood(propensity_is_told=False)
    return configured(kind.name, parameters, lambda _: kind)


def diagnose(log: FeedbackLog, *, seed: int = 0, advise: bool = True, **parameters: Any) -> Diagnosis:
    """Diagnose a log of one replicate, without any truth.

    Parameters
    ----------
    log : FeedbackLog
        Feedback of shape (1, n), with what is known. The propensity must be unknown: if it is told, the
        reward is identified and only its use is in question.
    seed : int
    advise : bool
        Whether to estimate what further knowledge would be worth, which takes a third of the time.
    **parameters
        Hyper-parameters of the estimator that maximises the likelihood (``implicitrm``).

    Raises
    ------
    BadInput
        If the log has several replicates, tells the propensity, or a fit does not train; or a parameter is
        out of its range.
    """
    if log.n_replicates != 1:
        raise BadInput(f"a diagnosis takes a log of one replicate, got {log.n_replicates}.")
    if log.propensity is not None:
        raise BadInput("the propensity is told, so that the reward is identified: fit implicitrm-known.")
    log = log.only_shown()
    estimator = estimator_with(seed=seed, **parameters)
    restarts = train_restarts(estimator, log, [0], RESTARTS)
    require_trained(restarts, estimator.name)
    inputs = log.features if log.context is None else log.context
    propensity = restarts.predict_propensity(inputs)[0]
    if log.always_acts is not None:
        propensity = np.where(log.always_acts, 1.0, propensity)
    clicks = unseen_clicks(estimator, log)
    return Diagnosis(
        log=log,
        restarts=restarts,
        calibration=click_calibration(clicks, log.feedback[0]),
        profile=_profile(estimator, log, clicks),
        propensity=propensity,
        overlap=_overlap(propensity, log.feedback[0]),
        advice=_advice(log, restarts, inputs, estimator) if advise else [],
        context=_context(log, seed),
    )


def _advice(log: FeedbackLog, restarts: Restarts, inputs: Matrix, estimator: Estimator) -> list[Worth]:
    near = restarts.near[0]
    rewards = restarts.model.predict(log.features)[near]
    return worth_of_knowledge(log, rewards, restarts.model.predict_propensity(inputs)[near], estimator)


def _context(log: FeedbackLog, seed: int) -> ContextTest | None:
    rests_on_it = log.context is not None and log.labels is None and log.always_acts is None
    return context_test(log, seed) if rests_on_it else None


def _profile(estimator: Estimator, log: FeedbackLog, clicks: np.ndarray) -> Profile | None:
    return None if log.class_prior is not None else profile_likelihood(simplest(estimator, log, clicks), log)


def _overlap(propensity: np.ndarray, feedback: np.ndarray) -> Overlap:
    weight = 1 / propensity[feedback == 1].clip(1e-6)
    return Overlap(
        quantiles={q: float(np.quantile(propensity, q)) for q in (0.01, 0.5, 0.99)},
        below_5_percent=float((propensity < 0.05).mean()),
        effective_sample_share=float(effective_sample_share(weight)),
    )
