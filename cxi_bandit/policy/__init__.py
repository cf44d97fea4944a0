"""Pure decision maths: manifests, feature schemas, eligibility, probability vectors, the draw, and what a reward is."""
