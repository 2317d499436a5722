"""The long table as people read it on a terminal."""

import math

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simbench.errors import BadInput
from simbench.study import StudyConfig
from simbench.world import DESCRIPTIONS, World

TRUTH_METRICS = {"bias2": "bias²", "variance": "variance", "mse": "MSE", "excess_bias2": "excess bias²"}
TESTED = 20  # replicates in which the dependence of signals is tested
OTHER_METRICS = {
    "auroc": "AUROC",
    "pairwise_accuracy": "pairs",
    "brier": "Brier",
    "nll": "NLL",
    "calibration_shift": "shift",
    "ece": "ECE",
    "regret": "regret",
    "efficiency": "efficiency",
    "swapped_share": "swapped",
}


def situation_lines(world: World) -> list[str]:
    """What a world is and what its law realised."""
    facts = world.realised()
    name = world.config.name
    preset = name if name in DESCRIPTIONS else name.split(":")[0]
    return [
        f"world {world.config.name}: {DESCRIPTIONS.get(preset, 'as configured')}",
        world.description,
        f"bias level {world.bias_level:g} realised: {facts['positive_rate']:.3f} of responses are good, "
        f"{facts['action_rate']:.3f} would be acted on, {facts['feedback_rate']:.3f} got feedback; "
        f"{facts['positives_without_feedback']:.1%} of the good ones got none; propensity: smallest "
        f"{facts['smallest_propensity']:.2g}, 1 % quantile {facts['propensity_1_percent']:.2g}",
        *_signal_line(world),
    ]


def _signal_line(world: World) -> list[str]:
    """How often each of several signals fires, and how far the actions depend."""
    if len(world.config.signal_names) < 2:
        return []
    rates = ", ".join(f"{name} {rate:.3f}" for name, rate in world.signal_rates().items())
    line = f"signals realised (share of responses): {rates}"
    if world.config.signals > 1:
        line += f"; mean correlation of two actions given the response {world.realised_dependence():.3f}"
    return [line]


def print_study(table: pd.DataFrame, config: StudyConfig, worlds: list[tuple[str, World]], console: Console):
    """Two tables a situation, which is a protocol's name and a world: against the truth; and ranking,
    calibration and decisions."""
    for protocol, world in worlds:
        console.print()
        if len(config.protocols) > 1:
            console.print(f"protocol {protocol}", highlight=False, markup=False)
        for line in situation_lines(world):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        here = table[
            (table.world == world.config.name)
            & (table.bias_level == world.bias_level)
            & (table.protocol == protocol)
            & (table["size"] == _size_of(table, world))
        ]
        console.print(_truth_table(here, config))
        console.print(_other_table(here, config))
        for note in notes(here, world, config):
            console.print(note, highlight=False, soft_wrap=True, markup=False)


def _size_of(table: pd.DataFrame, world: World) -> int:
    sizes = table[table.world == world.config.name]["size"].unique()
    return min(sizes, key=lambda size: abs(size - len(world.train.reward)))


def _truth_table(here: pd.DataFrame, config: StudyConfig) -> Table:
    table = Table(title=f"Against the true reward, {config.replicates} replicates", box=None)
    table.add_column("estimator")
    table.add_column("told")
    for title in TRUTH_METRICS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for (name, _), rows in here.groupby(["estimator", "knows"], sort=False):
        rows = rows.set_index("metric")
        first = rows.iloc[0]
        if first.status != "ok":
            table.add_row(name, first.knows, "", "", "", "", escape(f"{first.status}: {first.reason}"))
            continue
        cells = [_interval(rows, metric) for metric in TRUTH_METRICS]
        table.add_row(name, first.knows, *cells, _verdict(rows))
    table.caption = (
        f"\\[low, high]: {config.level:.0%} intervals. Verdict: excess bias² over the oracle's, against "
        f"a margin of {config.margin:g}² (RMS bias)."
    )
    table.caption_justify = "left"
    return table


def _other_table(here: pd.DataFrame, config: StudyConfig) -> Table:
    table = Table(title="Ranking, calibration, decisions", box=None)
    table.add_column("estimator")
    for title in OTHER_METRICS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("seconds", justify="right")
    finished = here[here.status == "ok"]
    several = finished.groupby("estimator").knows.nunique()
    for (name, knows), rows in finished.groupby(["estimator", "knows"], sort=False):
        rows = rows.set_index("metric")
        cells = [_plus_minus(rows, metric) for metric in OTHER_METRICS]
        who = f"{name}, {knows}" if several[name] > 1 else name
        table.add_row(who, *cells, f"{rows.iloc[0].seconds:.1f}")
    table.caption = (
        f"± half of the {config.level:.0%} interval. pairs: share of a prompt's response pairs in the "
        "right order. shift: mean estimate minus mean reward. regret: reward lost by best-of-n. "
        "efficiency: Cramér-Rao bound over MSE, given the propensity or not. "
        "swapped: share of replicates that rank like the propensity."
    )
    table.caption_justify = "left"
    return table


def _number(value: float, digits: int = 4) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def _interval(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return "–"
    row = rows.loc[metric]
    if math.isnan(row.low):
        return _number(row.value)
    return f"{_number(row.value)} [{_number(row.low)}, {_number(row.high)}]".replace("[", "\\[")


def _plus_minus(rows: pd.DataFrame, metric: str) -> str:
    if metric not in rows.index:
        return "–"
    row = rows.loc[metric]
    if math.isnan(row.low):
        return _number(row.value, 2)
    return f"{_number(row.value, 3)}±{_number((row.high - row.low) / 2, 3)}"


def _verdict(rows: pd.DataFrame) -> str:
    if "excess_bias2" in rows.index:
        return rows.loc["excess_bias2"].verdict
    return "no oracle" if "bias2" in rows.index else "ranks only"


def notes(here: pd.DataFrame, world: World, config: StudyConfig) -> list[str]:
    """What a reader must know beside the numbers: identification first."""
    from simbench.registry import find

    lines = []
    for (name, knows), rows in here[here.status == "ok"].groupby(["estimator", "knows"], sort=False):
        is_told = "propensity" in str(knows) or "labels" in str(knows)
        if "propensity" in find(str(name)).heads() and not is_told:
            reads = {n.inputs for n in find(str(name)).networks if "propensity" in n.heads}
            separate = reads == {"context"} and world.train.context is not None
            lines.append(f"{name}: {_identification(rows, world, separate)}")
    lines += _dependence(world, config)
    lines += _weights(here)
    undecided = here[(here.metric == "excess_bias2") & (here.verdict == "undecided")]
    lines += [f"{row.estimator} ({row.knows}): undecided, {row.reason}" for row in undecided.itertuples()]
    return lines


def _dependence(world: World, config: StudyConfig) -> list[str]:
    """Whether the log itself shows that its signals depend on one another."""
    from simbench.dependence import dependence_test

    if world.config.signals == 2:
        return [
            "signals: what two say of the reward assumes that they are independent given the response; two "
            "cannot test it, a third can (--signals 3)."
        ]
    if world.config.signals < 3:
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


def _weights(here: pd.DataFrame) -> list[str]:
    """Where inverse propensity weighting stands, once for each propensity that was told."""
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
    """Words for what the log can tell; only the product γα is identified from feedback.

    ``separate``: whether the propensity is fitted on inputs that the reward does not read.
    """
    rows = rows.set_index("metric")
    help_ = (
        "Would help: the propensity, a class prior, explicit labels (--grant labels), a second signal "
        "(--signals 2)"
    )
    swapped = float(rows.loc["swapped_share"].value) if "swapped_share" in rows.index else 0.0
    count = round(swapped * int(rows.iloc[0].n_replicates))
    of = f"{count} of {int(rows.iloc[0].n_replicates)} replicates came out swapped with the propensity"
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
    if high < 0.95:
        return (
            "the level of the reward is WEAKLY IDENTIFIED here: the context moves the propensity only "
            f"up to {high:.2f} (99 % quantile), and the level is read off as it nears 1. {help_}."
        )
    if world.config.confounding != 0:
        return (
            "its propensity network reads only the context, but users act on the reward as well: the "
            f"exclusion that it relies on does not hold; {of}. {help_}."
        )
    return f"identified here through the context, which moves the propensity up to {high:.2f}; {of}."
