"""The claims, one small function each, which turn the results of the steps into a verdict by a rule."""

from simbench.repro.claims.abstract import accurate, four_groups, likelihood, own_scores
from simbench.repro.claims.claim import Claim
from simbench.repro.claims.downstream import alignment
from simbench.repro.claims.exact import naive_bias, printed_equation, theorem
from simbench.repro.claims.identification import learned_stratification
from simbench.repro.claims.leaks import worth
from simbench.repro.claims.learning_rate import best_below, sharp_fall
from simbench.repro.claims.losses import other_losses
from simbench.repro.claims.predictions import PREDICTIONS
from simbench.repro.claims.public_numbers import public_numbers
from simbench.repro.claims.real_data import real_data
from simbench.repro.claims.scar import scar_methods
from simbench.repro.claims.square_root import square_root
from simbench.repro.claims.twins import beats_baselines
from simbench.repro.evidence import Evidence
from simbench.repro.findings import Finding

CLAIMS: tuple[Claim, ...] = (
    naive_bias,
    scar_methods,
    four_groups,
    theorem,
    printed_equation,
    other_losses,
    learned_stratification,
    likelihood,
    accurate,
    beats_baselines,
    own_scores,
    sharp_fall,
    best_below,
    square_root,
    alignment,
    *PREDICTIONS,
    public_numbers,
    worth,
    real_data,
)


def findings(evidence: Evidence) -> list[Finding]:
    """Judge every claim."""
    return [claim.examine(evidence) for claim in CLAIMS]
