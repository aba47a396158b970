"""What a study is compared with, from `VisualFeatures` to `VisualFeatures`, by name; loaded when it is built."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.models.contrast import options
from contrastcxr.options import Registered

CONTRASTS: Mapping[str, Registered[options.ContrastOptions]] = {
    "attention": Registered(
        options.AttentionOptions,
        f"{__name__}.attention:ContrastiveAttention",
        "Contrastive Attention (paper A), section 3.2",
        also="contrastive attention",
    ),
    "difference": Registered(
        options.DifferenceOptions,
        f"{__name__}.difference:InducedAttention",
        "CIA-Net (paper B), section 3.2",
        also="contrast-induced attention",
    ),
}
USUAL_CONTRAST = "attention"
"""The kind that a configuration means that says none."""
