"""What every estimator declares of itself: who is told what, which network reads what, and its defaults."""

import inspect

import pytest

from simbench.estimator.registry import find, names

BASE = {
    "hidden": (32, 16),
    "lr": 3e-3,
    "batch_size": 512,
    "epochs": 100,
    "patience": 8,
    "optimiser": "adam",
    "weight_decay": 1e-4,
    "validation_share": 0.2,
    "seed": 0,
    "device": "cpu",
}
EM = {"e_step": "batch", "restarts": 1}
SAR_EM = {"restarts": 1, "e_step": "epoch", "hidden": (), "lr": 0.03, "epochs": 150, "patience": 12}
KNOWN_TO_IMPLICITRM = "labels, misclick, action rate, always acts"

# name: (must be told, may be told, heads of each network with what it reads, defaults other than BASE)
CARDS = {
    "oracle": ("truth", "", "reward", {}),
    "naive": ("", "", "reward", {}),
    "naive-sqrt": ("", "", "reward", {}),
    "balanced-naive": ("", "", "reward", {}),
    "wmf": ("", "", "reward", {"weight": 0.3}),
    "elkan-noto": ("", "", "reward", {}),
    "upu": ("", "class prior", "reward", {}),
    "nnpu": ("", "class prior", "reward", {}),
    "ips-scar": ("", "", "reward", {}),
    "pusb": ("class prior", "", "reward", {}),
    "vpu": ("", "", "reward", {}),
    "ips": ("propensity", "", "reward", {"clip": 0.0}),
    "ips-clipped": ("propensity", "", "reward", {"clip": 0.1}),
    "snips": ("propensity, class prior", "", "reward", {"clip": 0.0}),
    "dr": ("propensity", "", "reward / imputation", {"clip": 0.1}),
    "mrdr": ("propensity", "", "reward / imputation", {"clip": 0.1}),
    "stable-dr": ("propensity", "", "reward / propensity / imputation", {"clip": 0.01}),
    "dr@click-observed": ("propensity", "", "reward / imputation", {"clip": 0.1}),
    "multi-ips": ("propensity", "", "reward propensity", {"clip": 0.01}),
    "multi-dr": ("propensity", "", "reward propensity imputation", {"clip": 0.1}),
    "ome-ips": ("propensity, misclick", "", "reward", {"omission": 0.0, "clip": 0.0}),
    "ome-dr": ("propensity, misclick", "", "reward / imputation", {"omission": 0.0, "clip": 0.1}),
    "sar-em": ("", "", "reward / propensity of context", SAR_EM),
    "lbe": ("", "", "reward / propensity", EM),
    "recrec": ("", "", "reward / propensity", EM),
    "counter-if": ("", "", "reward", {}),
    "counter-if@published": ("", "", "reward", {}),
    "implicitrm": ("", KNOWN_TO_IMPLICITRM, "reward / propensity of context", EM),
    "implicitrm-prior": ("class prior", KNOWN_TO_IMPLICITRM, "reward / propensity of context", EM),
    "implicitrm-known": ("propensity", "labels, misclick", "reward", EM),
    "implicitrm@printed": ("", KNOWN_TO_IMPLICITRM, "reward / propensity of context", EM),
    "implicitrm-signals": ("signals", "", "reward / signal:0 of context", EM),
    "capture-recapture": ("signals", "", "reward of context", {}),
    "pbm": ("pages", KNOWN_TO_IMPLICITRM, "reward / propensity of rank", EM),
    "cascade-mle": ("pages", "", "reward / parameter:0 parameter:1 of nothing", {}),
    "regenerate-mle": (
        "pages, attempts, signals",
        "",
        "reward / propensity of context / parameter:0 parameter:1 of nothing",
        {},
    ),
    "bpr": ("", "", "reward", {}),
    "ubpr": ("propensity", "", "reward", {}),
    "cubpr": ("propensity", "", "reward", {}),
    "upl": ("propensity", "", "reward / imputation", {}),
    "ips@published": ("propensity", "", "reward", {"clip": 0.1}),
    "multi-ips@published": ("propensity", "", "reward propensity", {"clip": 0.1}),
    "multi-dr@published": ("propensity", "", "reward propensity imputation", {"clip": 0.1}),
    "stable-dr@published": ("propensity", "", "reward / propensity / imputation", {"clip": 0.1}),
    "rmf@published": ("propensity", "", "reward", {"clip": 1e-8}),
    "upu@published": ("", "class prior", "reward", {}),
    "nnpu@published": ("", "class prior", "reward", {}),
    "recrec@published": ("", "", "reward / propensity", EM),
    "bpr@published": ("", "", "reward", {}),
    "ubpr@published": ("propensity", "", "reward", {}),
    "upl@published": ("propensity", "", "reward / imputation", {}),
}
PAIRWISE = {"bpr", "ubpr", "cubpr", "upl"}
PUBLISHED = {name for name in CARDS if name.endswith("@published")}


def words(text):
    return frozenset(filter(None, text.split(", ")))


def heads_and_inputs(text):
    for network in text.split(" / "):
        heads, _, inputs = network.partition(" of ")
        yield tuple(heads.split()), inputs or "features"


def test_every_estimator_has_a_card_here():
    assert set(CARDS) == set(names()) - {"sklearn"}


@pytest.mark.parametrize("name", CARDS)
def test_an_estimator_declares_what_its_card_says(name):
    kind, (needs, optional, networks, defaults) = find(name), CARDS[name]
    assert kind.name == name
    assert kind.needs == words(needs) and kind.optional == words(optional)
    assert [(n.heads, n.inputs) for n in kind.networks] == list(heads_and_inputs(networks))
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    expected = BASE | defaults
    assert {p.name: p.default for p in parameters} == expected
    assert kind().get_params() == expected


def test_a_classifier_from_outside_reads_a_missing_click_as_a_dislike():
    kind = find("sklearn:LogisticRegression")
    assert kind.family == "outside" and "α = 1" in kind.assumption and kind.source == "scikit-learn"
    assert not kind.needs and not kind.optional


@pytest.mark.parametrize("name", CARDS)
def test_every_parameter_is_kept_under_its_own_name(name):
    """Each is given a value of its own, so that two of them cannot be exchanged on the way."""
    kind = find(name)
    given = {key: f"value of {key}" for key in kind().get_params()}
    assert kind(**given).get_params() == given


def those(value, *chosen):
    return dict.fromkeys(chosen, value)


SCORES_REPORTED = ("bpr@published", "ubpr@published", "upl@published")
COUNTER_IF = ("counter-if", "counter-if@published")
CLICK_MODELS = ("pbm", "cascade-mle", "regenerate-mle")
NO_SUMS = ("snips", "nnpu", "nnpu@published", "pusb", "vpu", "stable-dr", *COUNTER_IF, "capture-recapture")
SWITCHES = {  # attribute: (its usual value, who departs from it)
    "reads_pairs": (False, those(True, *PAIRWISE, *SCORES_REPORTED, *COUNTER_IF)),
    "ranks_only": (False, those(True, *PAIRWISE)),
    "reads_pages": (False, {"cascade-mle": True}),
    "sums_over_samples": (True, those(False, *NO_SUMS, "cascade-mle", "regenerate-mle")),
    "initial_epochs": (0, {"sar-em": 20} | those(10, "lbe", "multi-ips@published", "multi-dr@published")),
    "mixup": (None, {"vpu": 0.3}),
    "reads_representation": (False, those(True, *COUNTER_IF)),
    "family": ("pointwise", those("pointwise and pairwise", *COUNTER_IF)
        | those("pairwise", *PAIRWISE, *SCORES_REPORTED)
        | those("several signals", "implicitrm-signals", "capture-recapture")
        | those("click models", *CLICK_MODELS)),
    "reads_marginals": (True, those(False, "sar-em", "lbe", "recrec", "recrec@published")),
    "has_epoch_state": (False, {"sar-em": True}),
    "stabiliser": (1.0, {}),
}  # fmt: skip


@pytest.mark.parametrize("attribute", SWITCHES)
def test_a_switch_is_set_where_it_belongs_and_nowhere_else(attribute):
    (usual, others), found = SWITCHES[attribute], {}
    for name in CARDS:
        value = getattr(find(name)(), attribute, None)
        if value is not None and value != usual:
            found[name] = value
    assert found == others


def test_posteriors_are_frozen_for_an_epoch_on_demand_alone():
    for name in ("implicitrm", "implicitrm-known", "implicitrm-signals", "lbe", "sar-em"):
        schedules = ("batch", "epoch", "likelihood")
        assert [find(name)(e_step=s).has_epoch_state for s in schedules] == [False, True, False]


SAYS = {  # a word or two without which its users would be misled
    "naive": "α = 1",
    "bpr": "α = 1",
    "naive-sqrt": "γ = α",
    "oracle": "latent preferences are seen",
    "ips": "propensity is known exactly",
    "ubpr": "propensity is known exactly",
    "rmf@published": "propensity is known exactly",
    "snips": "propensity and the class prior are known exactly; large batches",
    "ips-clipped": "nowhere below the clip",
    "dr": "below the clip, the imputed reward is right",
    "ome-ips": "propensity and both noise rates are known exactly",
    "ome-dr": "noise rates are known; below the clip, the imputed reward is right",
    "upl": "propensity is known exactly and the pointwise relevance is right",
    "upu": "SCAR, and the class prior is right",
    "nnpu": "SCAR, and the class prior is right",
    "ips-scar": "SCAR, and some responses are surely good",
    "elkan-noto": "SCAR, and clicked responses are surely good",
    "vpu": "SCAR, and some responses are surely good",
    "implicitrm": "no misclicks, and the product γα can be split",
    "implicitrm-known": "propensity is known exactly, no misclicks",
    "implicitrm-prior": "class prior is known, no misclicks",
    "implicitrm-signals": "signals independent given the response and r*; no misclicks",
    "capture-recapture": "two positive signals independent given the response and r*; no misclicks",
    "sar-em": "no misclicks, logistic reward and propensity, and context moves only the propensity",
    "dr@click-observed": "imputed reward is 0 wherever the response is bad",
    "multi-dr@published": "imputed reward is 0 wherever the response is bad",
    "lbe": "none that identifies it: reward and propensity read the same features",
    "recrec": "none that identifies it: reward and propensity read the same features",
    "balanced-naive": "classes are equally frequent, and a missing click is a dislike",
    "pbm": "users look by rank alone, and ranks do not follow the reward",
    "cascade-mle": "users read from the top, and stop behind any good response with one probability",
    "regenerate-mle": "one patience and one curiosity for all; context moves only whether users copy",
}


def test_assumptions_say_what_their_users_must_know():
    for name, text in SAYS.items():
        assert text in find(name).assumption, name


NEVER_UNBIASED = {"wmf", "cubpr", "implicitrm@printed", "upu@published", "nnpu@published"} | {
    "ips@published",
    "multi-ips@published",
    "stable-dr@published",
}


def test_those_that_assume_nothing_that_makes_them_unbiased_say_so():
    assert {name for name in CARDS if find(name).assumption.startswith("none under which")} == NEVER_UNBIASED


SOURCES = {
    "wmf": "ICDM 2008",
    "elkan-noto": "KDD 2008",
    "upu": "NIPS 2014 / ICML 2015",
    "nnpu": "NIPS 2017",
    "pusb": "ICLR 2019",
    "vpu": "NeurIPS 2020",
    "ips": "ICML 2016; Saito et al. (Rel-MF), WSDM 2020",
    "snips": "NIPS 2015",
    "dr": "ICML 2019",
    "mrdr": "SIGIR 2021",
    "stable-dr": "ICLR 2023",
    "multi-ips": "WWW 2020 (Multi-IPS)",
    "multi-dr": "WWW 2020 (Multi-DR)",
    "ome-ips": "KDD 2024; CausalRM, arXiv 2603.18736",
    "sar-em": "ECML-PKDD 2019",
    "lbe": "TPAMI 2021",
    "recrec": "ACM TOIS 2024",
    "counter-if": "NeurIPS 2025",
    "implicitrm": "arXiv 2603.23184",
    "bpr": "UAI 2009",
    "ubpr": "ICTIR 2020",
    "cubpr": "ICTIR 2020",
    "upl": "SIGIR 2023",
}


def test_sources_are_those_of_the_specification():
    for name, text in SOURCES.items():
        assert text in find(name).source, name
    for name in PUBLISHED - {"rmf@published"}:
        assert find(name).source.startswith("public code of the baselines of arXiv 2603.23184"), name
