"""What a card says of an anomaly threshold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from isthmus.cards.words import Sections

DOCUMENT = "threshold.json"


def threshold_section(facts: Mapping[str, Any], documents: Mapping[str, str]) -> Sections:
    """How anomalies are told from normal records.

    Args:
        facts: of a manifest.
        documents: of the bundle by name.

    Returns:
        One section; none without a threshold.
    """
    if DOCUMENT not in documents:
        return {}
    saved = json.loads(documents[DOCUMENT])
    return {
        "Anomalies": f"`is_anomaly` flags records that score above {saved['value']:.4g} nats, which a share of about "
        f"{saved['share']:g} of normal records does; `anomaly_p_values` tells how rare a score is among normal records."
    }
