"""What the document says besides the claims: introduction, groups of claims, map of the paper."""

from simbench.repro.findings import Table

INTRODUCTION = """\
# The paper, reproduced and examined

*ImplicitRM: Unbiased Reward Modeling from Implicit Preference Data for LLM alignment* (arXiv 2603.23184)
claims that a reward model learned from clicks is unbiased if each response is stratified into four latent
groups, and accurate on HelpSteer, UltraFeedback and PKU-SafeRLHF. Here every claim stands beside what tests
it, what was measured, and a verdict by a rule in code. Written by `simbench repro` from results on disk; no
number is typed. `simbench repro --check` reruns a small form of it and fails where they disagree.
"""

GROUPS = {  # of claims, by their keys
    "The theory, by enumeration": ("1", "G", "3", "3b", "M", "U"),
    "What is learned from a log": ("2", "4", "7"),
    "Accuracy and comparison, on twins of the data sets": ("A", "5", "6", "6b", "P", "R"),
    "What a policy makes of it": ("8",),
    "The published evaluation": ("a", "b", "c", "d", "e", "L"),
}
FIRST_FIGURE = "comparison.png"
CAPTIONS = {
    "comparison.png": "R², MAE and AUROC of every method on three twins, under the published protocol and an "
    "honest one",
    "bias-variance.png": "bias² and variance of every estimator against the bias level",
    "identification.png": "what must be known, in which world, for the learned reward to be unbiased",
    "value-kl.png": "true value of the policies that follow a reward, against their KL",
}

READING = """\
`a [b, c]` is a value with its {level} interval, over replicated logs unless a table says otherwise. Units:
bias² and mean squared error are squared probabilities; MAE, RMSE and shifts are probabilities. *Holds under
a condition*: in some of the places where the claim is judged, and in more of them than could be by luck
(probability .05); the table of verdicts names them. Long tables stand in the appendix.
"""

BENCH, IMG = "benchmarks", "docs/img"
MAP = Table(
    title="Equations are numbered as the reviews of the paper cite (6) and (7), and (5) and (8) by their "
    "order; the PDF was not at hand",
    columns=("in the paper", "what it is", "code", "claim, figure"),
    rows=(
        ("Eq. (5)", "loss over the groups, preference part", "`ImplicitRM.reward_loss`", "3"),
        ("Eq. (6)", "posteriors of the groups", "`group_posteriors`", "G"),
        ("Eq. (6) as printed", "the same, numerators misplaced", "`ImplicitRMPrinted`", "3b"),
        ("Eq. (7)", "loss of the verification (action) model", "`ImplicitRM.auxiliary_loss`", "M"),
        ("Eq. (8)", "both parts, posteriors held fixed", "`ImplicitRM.objective`", "M"),
        (
            "Algorithm 1",
            "alternation of stratification and steps",
            "`ImplicitRM`, `e_step` batch or epoch",
            f"4, [identification]({IMG}/identification.png)",
        ),
        ("Theorem 3.2", "unbiased at the true posteriors", "`simbench check implicitrm`", "3"),
        (
            "main table",
            "methods on three data sets",
            f"[published]({BENCH}/twins-published.yaml), [honest]({BENCH}/twins-honest.yaml)",
            f"5, A, P, [comparison]({IMG}/comparison.png)",
        ),
        (
            "bias level",
            "error against the strength of the bias",
            f"[bias-level.yaml]({BENCH}/bias-level.yaml)",
            f"2, [bias-variance]({IMG}/bias-variance.png)",
        ),
        ("learning rate", "sensitivity", f"[learning-rate.yaml]({BENCH}/learning-rate.yaml)", "6, 6b"),
        (
            "downstream table",
            "safety of the policies",
            f"[downstream.yaml]({BENCH}/downstream.yaml)",
            f"8, P, [value-kl]({IMG}/value-kl.png)",
        ),
    ),
    note="All classes are in [implicitrm.py](estimators/simbench_estimators/implicitrm.py). Algorithm 1 "
    "leaves out the verification model that Eq. (7) needs (reviews); here both are trained.",
)
