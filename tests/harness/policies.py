"""A policy for every explorer that is shipped, each on a surface of its own: small, and learned in short segments."""

EXPLORERS = {
    "squarecb": 'algorithm = "squarecb"',
    "epsilon_greedy": 'algorithm = "epsilon_greedy"\nepsilon = 0.1',
    "softmax": 'algorithm = "softmax"',
    "cover": 'algorithm = "cover"\npolicies = 3',
    "bag": 'algorithm = "bag"\nmodels = 3',
    "regcb": 'algorithm = "regcb"',
    "rnd": 'algorithm = "rnd"\nnetworks = 2',
}

_MANIFEST = """
format = 1
name = "{name}"
surface = "{surface}"
[defects.coupon_failure]
[context.features.cart_value]
type = "number"
min = 0.0
max = 500.0
[[interventions]]
id = "hold"
[[interventions]]
id = "discount"
[[interventions]]
id = "free_shipping"
[reward]
horizon_seconds = {horizon_seconds}
min = 0.0
max = 1.0
metrics.purchase = {{ weight = 1.0, min = 0.0, max = 1.0, aggregate = "max" }}
[exploration.explorer]
{explorer}
[exploration.cold_start]
outcomes = 10
[learning]
bits = 12
segment_outcomes = {segment_outcomes}
publish_seconds = 0.0
"""


def manifest(explorer: str, *, horizon_seconds: float = 0.3, segment_outcomes: int = 60) -> str:
    """The policy of one explorer, on the surface of the same name."""
    return _MANIFEST.format(
        name=explorer.replace("_", "-"),
        surface=explorer,
        explorer=EXPLORERS[explorer],
        horizon_seconds=horizon_seconds,
        segment_outcomes=segment_outcomes,
    )
