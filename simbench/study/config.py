"""The configuration of a study, a grid of worlds, bias levels, sizes and estimators; and its cells."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from pydantic import BaseModel, ByteSize, Field, field_validator, model_validator

from simbench.errors import BadInput
from simbench.streams import seed_of
from simbench.study.cell import LARGEST_SEED, Cell
from simbench.study.grants import BASES, base, checked, variants
from simbench.study.guests.behaviours import behaviours_as_guests
from simbench.study.guests.kinds import configured, find
from simbench.study.guests.process import limited
from simbench.study.inputs import code_of, inputs_of_world
from simbench.study.observers import PhaseObserver, unseen
from simbench.study.policy_settings import Downstream
from simbench.study.protocol import EvaluationProtocol
from simbench.training.contract import MEMORY_BUDGET
from simbench.training.device import usable_device
from simbench.training.precision import Precision, product_dtype
from simbench.training.threads import fixed_threads
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS

DEFAULT_ESTIMATORS = (
    "oracle",
    "naive",
    "naive-sqrt",
    "balanced-naive",
    "ips",
    "upu",
    "nnpu",
    "implicitrm",
    "implicitrm-known",
    "sklearn:LogisticRegression",
)


class StudyConfig(BaseModel, frozen=True, extra="forbid"):
    """A study: every estimator in every world, at every bias level and size.

    Parameters
    ----------
    worlds : tuple of WorldConfig
    bias_levels : tuple of float
        How unequally users act, from 0 (all alike).
    estimators : tuple of str
        Names under which the estimators are found.
    estimators_in : dict
        Estimators of some worlds, by the world's name, in place of ``estimators``.
    parameters : dict
        Hyper-parameters that differ from the shipped ones, by the estimator's name.
    sizes : tuple of int
        Numbers of training responses; by default each world's own.
    draws : int
        Number of independent draws of every world, W: reward, salience and the responses that a world draws
        are another in each. What is concluded of several is of the world's law, of one of that draw alone.
    replicates : int
        Number of logs that are drawn and fitted in each cell.
    seed : int
    secret : bool
        Whether nobody knows the seed before the last cell has run; ``study.json`` says it then.
    grant : tuple of str
        What the estimators that ask for it are told, by the names of
        :func:`simbench.study.grants.meanings`. If several variants of one base are granted, an estimator that
        asks for it runs once with each. The rate of misclicks is not granted by default: in the field no log
        shows it.
    alternatives : tuple of tuple of str
        Whole grants that take the place of ``grant``. Each estimator runs once per alternative that informs
        it: alternatives that tell it the same are run once, and one that lacks something it needs is left
        out if another has it.
    protocols : tuple of EvaluationProtocol
        How fits are split, stopped, chosen and calibrated; the whole grid is run under each, by name.
    label_share : float in (0, 1)
        Share of the responses whose label the grant ``labels`` tells.
    margin : float
        Root-mean-square bias, in units of probability, in excess of the oracle's, below which an
        estimator counts as unbiased.
    level : float in (.5, 1)
        Level of all intervals.
    device : str
    precision : {"fp32", "tf32", "bf16"}
        Precision of matrix products, see :mod:`simbench.training.precision`.
    memory_budget : int or str
        Memory that the replicates training at once may take: bytes, or a text such as "2GB". It changes no
        number.
    timeout : float, optional
        Seconds that a cell of an estimator from outside may take; by default as long as it will. It changes
        no number.
    downstream : Downstream, optional
        If given, the policies that follow the fitted rewards are measured too (``downstream.parquet``).
    """

    worlds: tuple[WorldConfig, ...] = Field(default=(PRESETS["exclusive"],), min_length=1)
    bias_levels: tuple[float, ...] = Field(default=(0.8,), min_length=1)
    estimators: tuple[str, ...] = Field(default=DEFAULT_ESTIMATORS, min_length=1)
    estimators_in: dict[str, tuple[str, ...]] = {}
    parameters: dict[str, dict[str, Any]] = {}
    sizes: tuple[int, ...] = ()
    draws: int = Field(default=1, ge=1, le=10_000)
    replicates: int = Field(default=20, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0)
    secret: bool = False
    grant: tuple[str, ...] = ("propensity", "class prior")
    alternatives: tuple[tuple[str, ...], ...] = ()
    protocols: tuple[EvaluationProtocol, ...] = Field(default=(EvaluationProtocol(),), min_length=1)
    label_share: float = Field(default=0.05, gt=0, lt=1)
    margin: float = Field(default=0.05, gt=0, le=1)
    level: float = Field(default=0.95, gt=0.5, lt=1)
    device: str = "cpu"
    precision: Precision = "fp32"
    memory_budget: ByteSize = Field(default=ByteSize(MEMORY_BUDGET), ge=1 << 20, validate_default=True)
    timeout: float | None = Field(default=None, gt=0)
    downstream: Downstream | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _behaviours_are_guests(cls, values: Any, handler: Any) -> Any:
        with behaviours_as_guests():
            return handler(values)

    @field_validator("seed", "draws", "replicates", "label_share", "margin", "level", mode="before")
    @classmethod
    def _is_no_flag(cls, value: Any) -> Any:
        if isinstance(value, bool):  # which counts as 0 or 1 elsewhere
            raise ValueError("must be a number, not true or false")
        return value


def cells_of(config: StudyConfig) -> list[Cell]:
    """All cells of a study, in the order in which they run: by protocol, world, size, bias level and draw.

    Each holds the fingerprints of what it reads, as it is at this moment.
    """
    code = cache(code_of)
    return [
        Cell(
            **where,
            estimator=name,
            parameters=config.parameters.get(name, {}),
            grant=grant,
            code=code(name, grant),
            replicates=protocol.replicates or config.replicates,
            draw=draw,
            seed=seed_of_draw(config.seed, draw),
            label_share=config.label_share,
            device=config.device,
            precision=config.precision,
            memory_budget=config.memory_budget,
            timeout=config.timeout,
            protocol=protocol,
        )
        for protocol in config.protocols
        for told in [cache(partial(_grants, config, protocol))]
        for where in _situations(config, protocol)
        for draw in range(config.draws)
        for name in config.estimators_in.get(where["world"].name, config.estimators)
        for grant in told(name)
    ]


def seed_of_draw(seed: int, draw: int) -> int:
    """The seed of a draw of all worlds of a study: its own for the first, from which the others derive."""
    return seed if draw == 0 else seed_of(seed, "draw", draw) % LARGEST_SEED


def _situations(config: StudyConfig, protocol: EvaluationProtocol) -> Iterator[dict[str, Any]]:
    """The fields that the cells of a situation have in common, for each situation under a protocol."""
    for plain in config.worlds:
        world = under(plain, protocol)
        data = inputs_of_world(world)
        for size in config.sizes or (world.default_size,):
            for bias_level in config.bias_levels:
                yield {"world": world, "data": data, "size": size, "bias_level": bias_level}


@behaviours_as_guests()
def under(world: WorldConfig, protocol: EvaluationProtocol) -> WorldConfig:
    """The world under a protocol, which may override whether a rating law is capped."""
    if protocol.capped is None or "capped" not in type(world.behaviour).model_fields:
        return world
    return world.changed(behaviour={"capped": protocol.capped})


def _grants(config: StudyConfig, protocol: EvaluationProtocol, name: str) -> list[tuple[str, ...]]:
    """The grants under which an estimator runs, one for each of its cells in a situation."""
    kind, given = find(name), protocol.grant_of.get(name, protocol.grant)
    alternatives = config.alternatives or (config.grant,) if given is None else (given,)
    told = [variant for one in alternatives for variant in variants(kind, checked(one))]
    needs = kind.needs & set(BASES)
    enough = [variant for variant in told if needs <= {base(name) for name in variant}]
    return list(dict.fromkeys(enough if config.alternatives and enough else told))


def validate(config: StudyConfig, cells: list[Cell]) -> None:
    """Check that a study can run, before anything is written.

    Raises
    ------
    BadInput
        With the first setting, estimator, parameter or world that cannot be used.
    """
    unknown = sorted(set(config.estimators_in) - {world.name for world in config.worlds})
    if unknown:
        raise BadInput(f"estimators_in names {unknown[0]!r}, which is no world of this study.")
    of_name = [world.name for world in dict.fromkeys(config.worlds)]
    twice = sorted({name for name in of_name if of_name.count(name) > 1})
    if twice:
        raise BadInput(f"two different worlds are called {twice[0]!r}: give each a name of its own.")
    names = [protocol.name for protocol in config.protocols]
    if len(set(names)) < len(names):
        raise BadInput(f"two protocols have the same name ({', '.join(names)}): give each its own.")
    tried = {(cell.estimator, cell.protocol.name): cell for cell in cells}.values()
    for name in {cell.estimator: None for cell in cells}:
        given = config.parameters.get(name, {})
        configured(name, given)
        for cell in (c for c in tried if c.estimator == name):
            for setting in cell.settings(find(name)):
                configured(name, {**given, **setting})
    for name in config.parameters:
        if name not in config.estimators:
            raise BadInput(f"parameters are given for {name!r}, which is not among the estimators.")
    usable_device(config.device)
    product_dtype(config.precision, config.device)


def validate_worlds(cells: list[Cell], phase: PhaseObserver = unseen) -> None:
    """Check that the worlds of these cells can be built.

    Parameters
    ----------
    cells : list of Cell
    phase : callable, optional
        Told how many of the worlds are checked.

    Raises
    ------
    BadInput
        With the first that cannot.
    """
    with fixed_threads():
        places = {cell.place: cell for cell in cells}
        for number, cell in enumerate(places.values()):
            phase("checking worlds", number, len(places))
            with limited(cell.timeout):
                cell.built()
