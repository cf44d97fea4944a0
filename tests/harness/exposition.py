"""What a service tells at `/metrics`, held against what the metrics say of themselves."""

from prometheus_client.parser import text_string_to_metric_families

from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.reference import families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    """Every sample by its name and labels; fails where a metric is not as the reference says, or not there."""
    known = {family.name: family for family in families(Metrics())}
    found: Series = {}
    for told in text_string_to_metric_families(text):
        if told.name.endswith("_created"):
            continue
        name = f"{told.name}_total" if told.type == "counter" else told.name
        family = known[name]
        assert (told.type, told.documentation) == (family.kind, family.documentation), name
        for sample in told.samples:
            own = {"le"} if sample.name.endswith("_bucket") else set()
            assert set(sample.labels) == set(family.labels) | own, sample
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found
