"""What the twins cannot show: claim 5 on the real responses, embedded as in the paper."""

from simbench.repro.claims.claim import Judgement, claim
from simbench.repro.claims.twins import beats_baselines, comparisons
from simbench.repro.evidence import Evidence, NotMeasured

COMMAND = (
    "simbench repro --data hub --only twins-published,twins-honest "
    "--embeddings helpsteer=FILE --embeddings ultrafeedback=FILE --embeddings saferlhf=FILE"
)


@claim(
    "R",
    "ImplicitRM beats each of the paper's baselines on the real HelpSteer, UltraFeedback and PKU-SafeRLHF, "
    "on embeddings of an 8B reward model.",
    command=COMMAND,
    rule="As claim 5.",
)
def real_data(evidence: Evidence) -> Judgement:
    """Give the verdict of claim 5 if its worlds are the real data sets."""
    worlds = {world for _, world, _ in comparisons(evidence)}
    if not all(world.startswith("hub:") for world in worlds):
        raise NotMeasured(
            "the data sets have to be fetched from the hub, and embedded by a model of 8 billion parameters, "
            "and neither is to be had without network and accelerator; the command below runs the same "
            "studies on them. Whether that encoder, a reward model, has seen the labels that the benchmark "
            "pretends to be missing is open for the same reason"
        )
    found = beats_baselines.judge(evidence)
    because = "See claim 5, whose worlds are the real ones here."
    return Judgement(found.places, because, found.quantities, luck=found.luck)
