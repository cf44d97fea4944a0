"""The types that the keys of a manifest are written in."""

from typing import Annotated

from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
PolicyTitle = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(gt=0.0, le=90 * 86_400)]
Money = Annotated[float, Meta(ge=0.0, le=1e12)]
