"""In which situation each loss is exactly unbiased, as its theory says, and where not by how much."""

import pytest
import torch

from simbench.estimator.registry import find
from simbench.score.risk import CASES, cases_of, expected_loss, ideal_for, situation

SCAR, KNOWN, UNKNOWN, MISCLICKS, IMPUTED, STRATA = CASES
N = 256  # so many that some propensities lie below every clip

EXACT = {
    "oracle": (SCAR, KNOWN, UNKNOWN, MISCLICKS),
    "ips": (SCAR, KNOWN),
    "ubpr": (SCAR, KNOWN),
    "multi-ips": (SCAR, KNOWN),
    "rmf@published": (SCAR, KNOWN),
    "ubpr@published": (SCAR, KNOWN),
    "ome-ips": (SCAR, KNOWN, MISCLICKS),
    **dict.fromkeys(["ips-clipped", "upu", "ips-scar"], (SCAR,)),
    **dict.fromkeys(["dr", "mrdr", "multi-dr", "ome-dr"], (SCAR, IMPUTED)),
    **dict.fromkeys(["upl", "upl@published"], (IMPUTED,)),
    **dict.fromkeys(["implicitrm", "implicitrm-prior", "implicitrm-known", "implicitrm-signals"], (STRATA,)),
    **dict.fromkeys(["sar-em", "lbe", "pbm"], (STRATA,)),
    **dict.fromkeys(["naive", "naive-sqrt", "balanced-naive", "wmf", "elkan-noto", "bpr", "cubpr"], ()),
    **dict.fromkeys(["dr@click-observed", "recrec", "implicitrm@printed"], ()),
    **dict.fromkeys(["ips@published", "multi-ips@published", "multi-dr@published"], ()),
    **dict.fromkeys(["stable-dr@published", "upu@published", "recrec@published"], ()),
    **dict.fromkeys(["bpr@published"], ()),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_loss_is_exactly_unbiased_where_theory_says_and_nowhere_else(name):
    estimator, found = find(name)(), set()
    for case in cases_of(estimator):
        at = situation(case, N)
        error = (expected_loss(estimator, at, case) - ideal_for(estimator, at)).abs().max()
        if error < 1e-11:
            found.add(case)
        else:
            assert error > 1e-3, case
    assert found == set(EXACT[name])


def terms(case="known α"):
    at = situation(case, N)
    h, g, a, q = (t.numpy() for t in (at.hypothesis, at.reward, at.propensity, at.imputation))
    q = 1 / (1 + torch.exp(-torch.as_tensor(q)).numpy())
    return at, h, g, a, q, torch.as_tensor


def off(name, at, **parameters):
    estimator = find(name)(**parameters)
    return expected_loss(estimator, at) - ideal_for(estimator, at)


def ell(h):
    """``ℓ(h, 1)`` and ``ℓ(h, 0)``."""
    h = torch.as_tensor(h)
    return torch.log1p(torch.exp(-h)), torch.log1p(torch.exp(h))


def test_the_published_ips_expects_the_naive_loss_over_the_propensity():
    """``[γα ℓ1 + (1 - γα) ℓ0] / max(α, .1)``."""
    at, h, g, a, _, tensor = terms()
    one, zero = ell(h)
    expected = (tensor(g * a) * one + (1 - tensor(g * a)) * zero) / tensor(a.clip(0.1, 1))
    found = expected_loss(find("ips@published")(), at)
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.allclose(expected_loss(find("stable-dr@published")(), at), expected, atol=1e-12)


def test_the_clicked_counted_out_of_the_unlabelled_leave_the_stated_bias():
    """Expectation ``c⁻¹ γα(ℓ1 - ℓ0) + (1 - γα)/(1 - ρ) ℓ0`` with ``c = ρ/π``."""
    at, h, g, a, _, tensor = terms()
    one, zero = ell(h)
    p, rate, prior = tensor(g * a), float((g * a).mean()), float(g.mean())
    expected = prior / rate * p * (one - zero) + (1 - p) / (1 - rate) * zero
    assert torch.allclose(expected_loss(find("upu@published")(), at), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["dr@click-observed", "multi-dr@published"])
def test_a_click_taken_for_an_observation_keeps_what_is_imputed_of_the_bad(name):
    """Unclipped, its bias is ``(1 - γ) q (ℓ1 - ℓ0)``."""
    at, h, g, _, q, tensor = terms()
    expected = tensor((1 - g) * q * -h)
    assert torch.allclose(off(name, at, clip=0.0), expected, atol=1e-11)


def test_recrec_is_off_by_the_loss_of_the_click_itself():
    """At true posteriors the first term is the ideal loss; the second expects ``ℓ(γ̂ α̂, γα)``."""
    at = situation(STRATA, N)
    found = expected_loss(find("recrec")(), at, STRATA) - ideal_for(find("recrec")(), at)
    click = torch.sigmoid(at.hypothesis) * at.propensity
    p = at.reward * at.propensity
    assert torch.allclose(found, -(p * click.log() + (1 - p) * (-click).log1p()), atol=1e-12)


def test_printed_numerators_shift_the_posterior_of_what_is_not_clicked():
    """Bias ``[γα + (1-γα) min(1, γα/(1-γα)) - γ](ℓ1 - ℓ0)`` at the true posteriors: ``min(2γα, 1) - γ``."""
    at = situation(STRATA, N)
    found = expected_loss(find("implicitrm@printed")(), at, STRATA) - ideal_for(find("naive")(), at)
    p = at.reward * at.propensity
    assert torch.allclose(found, ((2 * p).clamp_max(1) - at.reward) * -at.hypothesis, atol=1e-12)


def test_a_lower_clip_leaves_the_bias_of_those_below_it_alone():
    at, h, g, a, q, tensor = terms()
    under = (a / 0.3).clip(max=1)
    assert torch.allclose(off("ips", at, clip=0.3), tensor(g * (under - 1) * -h), atol=1e-11)
    for name in ("dr", "mrdr", "multi-dr"):
        assert torch.allclose(off(name, at, clip=0.3), tensor((1 - under) * (q - g) * -h), atol=1e-11)


def test_capped_pairs_have_the_weight_of_a_capped_click_and_none_below_zero():
    """Four terms a pair, each enumerated: ``max(0, r_i/α_i (1 - r_j/α_j))`` with ``α ≥ .1``."""
    at, h, g, a, _, _ = terms()
    capped, p, half = a.clip(0.1, 1), g * a, N // 2
    found = expected_loss(find("cubpr")(), at).numpy()
    for i in range(5):
        j, total = i + half, 0.0
        for first, second in ((i, j), (j, i)):
            gain = torch.log1p(torch.exp(torch.tensor(h[second] - h[first]))).item()
            for clicked_too in (0.0, 1.0):
                chance = p[first] * (p[second] if clicked_too else 1 - p[second])
                weight = (1 / capped[first]) * (1 - clicked_too / capped[second])
                total += chance * max(0.0, weight) * gain
        assert found[i] == pytest.approx(total, rel=1e-10)
