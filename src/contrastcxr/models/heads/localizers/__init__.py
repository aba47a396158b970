"""Localizers, by name; a localizer's module, which needs PyTorch, is loaded when it is built."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.models.heads.localizers import options
from contrastcxr.options import Registered

LOCALIZERS: Mapping[str, Registered[options.LocalizerOptions]] = {
    "cam": Registered(options.CamOptions, f"{__name__}.cam:CamLocalizer", "Zhou 2016, Wang 2017; B, Table 2"),
    "gradcam": Registered(
        options.GradCamOptions, f"{__name__}.gradcam:GradCamLocalizer", "Selvaraju 2017; D, Table 1"
    ),
    "li2018": Registered(options.LiOptions, f"{__name__}.li2018:LiLocalizer", "Li 2018; B §3.2 (Base)"),
    "retinanet": Registered(
        options.RetinaNetOptions, f"{__name__}.retinanet:RetinaNetLocalizer", "Lin 2017; D, Table 1"
    ),
    "cross_attention": Registered(
        options.CrossAttentionOptions, f"{__name__}.cross_attention:CrossAttentionLocalizer", "D, Table 1"
    ),
}
