"""Notes beside the numbers of a study: whether the reward is identified, signals, weights, verdicts."""

import pandas as pd

from simbench.errors import BadInput
from simbench.log.dependence import dependence_test
from simbench.study.config import StudyConfig
from simbench.study.guests.kinds import find
from simbench.training.trained import UNCONVERGED
from simbench.worlds.world import World

TESTED = 20  # replicates in which the dependence of signals is tested


def notes(here: pd.DataFrame, world: World, config: StudyConfig) -> list[str]:
    """The notes on one situation of a study: what a reader must know beside its numbers.

    Parameters
    ----------
    here : DataFrame
        Rows of the long table that belong to this situation.
    world : World
    config : StudyConfig

    Returns
    -------
    list of str
        One line each; notes on identification come first.
    """
    lines = []
    for (name, knows), rows in here[here.status == "ok"].groupby(["estimator", "knows"], sort=False):
        kind = find(str(name))
        # a second signal tells more than the product
        is_told = "propensity" in str(knows) or "labels" in str(knows) or "signals" in kind.needs
        if "propensity" in kind.heads() and not is_told:
            reads = {n.inputs for n in kind.networks if "propensity" in n.heads}
            separate = reads == {"rank"} or (reads == {"context"} and world.train.context is not None)
            lines.append(f"{name}: {_identification(rows, world, separate)}")
    lines += _dependence(world, config)
    lines += _unconverged(here)
    lines += _weights(here)
    undecided = here[(here.metric == "distance2") & (here.verdict == "undecided")]
    lines += [f"{row.estimator} ({row.knows}): undecided, {row.reason}" for row in undecided.itertuples()]
    return lines


def _dependence(world: World, config: StudyConfig) -> list[str]:
    """Whether the log shows that its signals depend on each other given the response."""
    if world.config.channel.signals == 2:
        return [
            "signals: what two say of the reward assumes that they are independent given the response; two "
            "cannot test it, a third can (--signals 3)."
        ]
    if world.config.channel.signals < 3:
        return []
    log, _ = world.draw(range(min(config.replicates, TESTED)))
    try:
        found = [dependence_test(log, replicate) for replicate in range(log.n_replicates)]
    except BadInput as error:
        return [f"signals: {error}"]
    level = 1 - config.level
    rejected = sum(result.p_value < level for result in found)
    correlation = sum(result.correlations.mean() for result in found) / len(found)
    return [
        f"signals: independence given the response is rejected at level {level:.2g} in {rejected} of "
        f"{len(found)} replicates (about {level * len(found):.1f} expected if it holds); mean correlation of "
        f"two actions {correlation:.3f}."
    ]


def _unconverged(here: pd.DataFrame) -> list[str]:
    """Which estimators have fits that were still improving when their epochs ran out."""
    late = here[(here.metric == UNCONVERGED) & (here.value > 0)]
    return [
        f"{row.estimator} ({row.knows}): {round(row.value * fits)} of {fits} fits kept the last epoch that "
        "they were allowed, and may not have converged: what is said of it is said of fits that were cut "
        "short (raise its parameter epochs)."
        for row in late.itertuples()
        for fits in [row.n_replicates * row.n_worlds]
    ]


def _weights(here: pd.DataFrame) -> list[str]:
    """How unequal the inverse propensity weights are, once for each propensity that was told."""
    weights = here[here.metric.isin(["effective_sample_share", "largest_weight", "negative_weight_share"])]
    lines = {}
    for (_, knows), rows in weights.groupby(["estimator", "knows"], sort=False):
        value = rows.set_index("metric").value
        told = next(word for word in str(knows).split(", ") if word.startswith("propensity"))
        lines[told] = (
            f"weights r/α ({told}): the effective sample is {value['effective_sample_share']:.0%} of the "
            f"clicks, the largest weight {value['largest_weight']:.1f}, the weight on ℓ0 negative for "
            f"{value['negative_weight_share']:.1%} of the responses"
        )
    return list(lines.values())


def _identification(rows: pd.DataFrame, world: World, separate: bool) -> str:
    """Whether the log identifies the reward, in words: feedback alone identifies only the product γα.

    ``separate`` says whether the propensity is fitted on inputs that the reward does not read.
    """
    rows = rows.set_index("metric")
    help_ = (
        "Would help: the propensity, a class prior, explicit labels (--grant labels), a second signal "
        "(--signals 2)"
    )
    swapped = float(rows.loc["swapped_share"].value) if "swapped_share" in rows.index else 0.0
    logs = int(rows.iloc[0].n_replicates) * int(rows.iloc[0].n_worlds)
    of = f"{round(swapped * logs)} of {logs} replicates came out swapped with the propensity"
    if not separate:
        return (
            "NOT IDENTIFIED here: reward and propensity read the same features, and feedback shows "
            f"only their product; {of}. {help_}, or context that moves only the propensity."
        )
    high = float(pd.Series(world.train.propensity).quantile(0.99))
    if world.bias_level == 0:
        return (
            "the LEVEL of the reward is NOT IDENTIFIED here: the context does not move the propensity "
            f"(SCAR), so any constant fits as well. {help_}."
        )
    if world.config.behaviour.reads_reward:
        return (
            "its propensity network reads only the context, but users act on the reward as well: the "
            f"exclusion that it relies on does not hold; {of}. {help_}."
        )
    if high < 0.95:
        return (
            "the level of the reward is WEAKLY IDENTIFIED here: the context moves the propensity only "
            f"up to {high:.2f} (99 % quantile), and the level is read off as it nears 1. {help_}."
        )
    return f"identified here through the context, which moves the propensity up to {high:.2f}; {of}."
