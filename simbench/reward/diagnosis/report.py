"""Writes a diagnosis as text, and as a self-contained HTML page."""

import base64
import html
import io

from simbench._compat import VERSION
from simbench.reward.diagnosis.context import LEVEL
from simbench.reward.diagnosis.diagnose import IDENTIFIED, RANKING_ONLY, Diagnosis
from simbench.reward.diagnosis.profile import Profile

COLOURS = {IDENTIFIED: "#117733", RANKING_ONLY: "#B8860B"}  # anything else is red


def facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The checks of a diagnosis as pairs of question and answer."""
    log, restarts, calibration = diagnosis.log, diagnosis.restarts, diagnosis.calibration
    overlap, profile = diagnosis.overlap, diagnosis.profile
    rows = [
        ("log", f"{log.n_rows:,} responses, {100 * log.feedback.mean():.1f} % with feedback"),
        (
            "are clicks predicted right?",
            f"largest gap of ten bins {calibration.largest_gap:.3f}; Hosmer-Lemeshow p = "
            f"{calibration.p_value:.3g} on unseen responses",
        ),
        *_context(diagnosis),
        (
            "do equally likely fits agree?",
            f"{restarts.near.sum()} of {restarts.near.size} restarts are equally likely: rewards up to "
            f"{restarts.spread[0]:.2f} apart (RMS), least rank correlation {restarts.rank_agreement[0]:.2f}",
        ),
        (
            "which mean rewards are compatible?",
            "told: the class prior"
            if profile is None
            else f"{profile.low:.3f} to {profile.high:.3f}, by {_heads(profile)}; least rank correlation of "
            f"their rewards {profile.rank_agreement:.2f}",
        ),
        (
            "is there overlap?",
            f"propensity {overlap.quantiles[0.01]:.3f} to {overlap.quantiles[0.99]:.3f} (1 % and 99 %); "
            f"below .05 for {100 * overlap.below_5_percent:.0f} % of the responses; effective sample "
            f"{100 * overlap.effective_sample_share:.0f} % of the clicks",
        ),
    ]
    return rows + [
        (f"with {worth.knowledge}", f"expected error of the reward {worth.rmse:.3f} (RMS)")
        for worth in diagnosis.believed_advice
    ]


def _context(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    found = diagnosis.context
    if found is None:
        return []
    answer = "yes" if found.moves else "the log does not show it"
    tested = f"score test, p = {found.p_value:.2g}, level {LEVEL:g}, {found.n_clusters:,} prompts or users"
    return [("does the context move clicks?", f"{answer} ({tested})")]


def _heads(profile: Profile) -> str:
    if not profile.hidden:
        return "logistic heads"
    return f"networks of hidden layers {', '.join(map(str, profile.hidden))}, whose own error is in it"


def as_text(diagnosis: Diagnosis) -> str:
    """A diagnosis as lines for a terminal, the verdict last."""
    rows = facts(diagnosis)
    width = max(len(question) for question, _ in rows)
    lines = [f"{question:<{width}}  {answer}" for question, answer in rows]
    return "\n".join([*lines, "", f"VERDICT: {diagnosis.verdict}. {diagnosis.summary}"])


def as_html(diagnosis: Diagnosis, name: str) -> str:
    """A diagnosis as one HTML page that contains its pictures and fetches nothing.

    Parameters
    ----------
    diagnosis : Diagnosis
    name : str
        Name of the log, for the title.

    Returns
    -------
    str
    """
    from simbench.reward.diagnosis.picture import draw

    buffer = io.BytesIO()
    draw(diagnosis).savefig(buffer, format="png", dpi=120)
    picture = base64.b64encode(buffer.getvalue()).decode()
    rows = "\n".join(
        f"<tr><th>{html.escape(question)}</th><td>{html.escape(answer)}</td></tr>"
        for question, answer in facts(diagnosis)
    )
    colour = COLOURS.get(diagnosis.verdict, "#AA2222")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Diagnosis of {html.escape(name)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62em; color: #222;
  margin: 2em auto; padding: 0 1em; }}
.verdict {{ border-left: 8px solid {colour}; padding: .5em 1em; background: #f6f6f6; }}
.verdict strong {{ color: {colour}; text-transform: uppercase; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd; }}
th {{ font-weight: 600; white-space: nowrap; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>Can a reward fitted on {html.escape(name)} be believed?</h1>
<p class="verdict"><strong>{html.escape(diagnosis.verdict)}</strong><br>{html.escape(diagnosis.summary)}</p>
<table>
{rows}
</table>
<p><img alt="Reliability, restarts, compatible mean rewards, propensity"
src="data:image/png;base64,{picture}"></p>
<p>No truth was seen. That equally likely fits agree is necessary for the reward to be right, not sufficient:
where context also tells how good a response is, they agree on a wrong one. simbench {VERSION}.</p>
</body></html>
"""
