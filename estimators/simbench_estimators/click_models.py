"""Click models: maximum likelihood of how users go through a page, with a reward network inside.

Each is the likelihood of one behaviour of :mod:`simbench.worlds.behaviours`, and right where users act so. It
is ascended itself, by gradient steps on whole pages, and not by EM: the gradient is that of EM's M-step at
the current posteriors (Fisher's identity), and parameters move along with the reward instead of once an
epoch. Parameters that all responses share are heads without inputs, which learn faster than the reward: early
stopping ends their training too. A likelihood is no estimate of the ideal risk; only ``pbm``, whose responses
are independent, also states one.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from simbench.estimator.estimator import Estimator
from simbench.training.contract import Network
from simbench.training.samples import Batch, Outputs
from simbench_estimators.implicitrm import ImplicitRM

NEVER = -1e4  # log of a probability of 0 that stays finite
FASTER = 10.0  # learning rate of shared parameters, as a multiple of the reward's


class PBM(ImplicitRM):
    """Position-based model, ``P(r=1) = γ(x) θ_rank``: one examination probability for each rank.

    It is :class:`simbench_estimators.implicitrm.ImplicitRM` with a propensity that reads the rank alone.
    Where like responses stand at different ranks, the ratios ``θ_j / θ_k`` are identified, and the order of
    the rewards. The level is not, but for the shape of the reward and the ceilings at 1, unless labels, a
    class prior or an action rate tell it.
    """

    name = "pbm"
    family = "click models"
    needs = frozenset({"pages"})
    assumption = "users look by rank alone, and ranks do not follow the reward"
    source = "Richardson, Dominowska, Ragno, WWW 2007; Craswell, Zoeter, Taylor, Ramsey, WSDM 2008"
    networks = (Network(), Network(("propensity",), "rank", (), FASTER))


def cascade_log_likelihood(reward: Tensor, acts: Tensor, stops: Tensor, batch: Batch) -> Tensor:
    """Log-likelihood of whole pages under the cascade, shape (..., pages).

    A user goes down the page. A good response is clicked with probability ``c``, and ends the visit with
    probability ``λ``, clicked or not; after a bad one the user goes on.

    Parameters
    ----------
    reward, acts, stops : Tensor, shape (..., b)
        Logits of ``γ``, ``c`` and ``λ`` at every place of every page.
    batch : Batch
        Whole pages, see :meth:`simbench.training.samples.Batch.pages`.
    """
    good, bad, clicked = logsigmoid(reward), logsigmoid(-reward), batch.feedback == 1
    # a good response, and what its user did with it
    done = good + torch.where(clicked, logsigmoid(acts), logsigmoid(-acts))
    stop, go_after_good = done + logsigmoid(stops), done + logsigmoid(-stops)
    go = torch.where(clicked, go_after_good, torch.logaddexp(bad, go_after_good))
    # a place that the page lacks changes nothing
    go, stop = batch.pages(batch.of_shown(go)), batch.pages(batch.of_shown(stop, NEVER))
    clicked = batch.pages(clicked)
    reading = torch.zeros_like(go[..., 0])
    left = torch.full_like(reading, NEVER)
    for place in range(go.shape[-1]):
        left = torch.where(clicked[..., place], NEVER, left)  # who has left clicks no more
        left = torch.logaddexp(left, reading + stop[..., place])
        reading = reading + go[..., place]
    return torch.logaddexp(reading, left)


class CascadeMLE(Estimator):
    """The cascade: ``γ(x)``, one click probability ``c`` and one stop probability ``λ``, page by page.

    ``γ c`` and ``λ`` show in what is clicked first, and behind a click. Good responses that are not clicked
    end visits too, so that ``c``, and with it the level of γ, is identified where ``λ > 0``, though weakly;
    at ``λ = 0`` only ``γ c`` is, but for the shape of the reward.
    """

    name = "cascade-mle"
    family = "click models"
    needs = frozenset({"pages"})
    assumption = "users read from the top, and stop behind any good response with one probability"
    source = "Craswell, Zoeter, Taylor, Ramsey, WSDM 2008; here users may stop without a click"
    networks = (Network(), Network(("parameter:0", "parameter:1"), "nothing", (), FASTER))
    reads_pages = True
    sums_over_samples = False

    def objective(self, out: Outputs, batch: Batch) -> Tensor:
        acts, stops = out.head("parameters").unbind(-2)
        likelihood = cascade_log_likelihood(out.reward, acts, stops, batch)
        return -likelihood.sum(-1) / out.reward.shape[-1]
