"""Report decoders, by name; a decoder's module, which needs PyTorch, is loaded when it is built."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.models.heads.decoders import options
from contrastcxr.options import Registered

DECODERS: Mapping[str, Registered[options.DecoderOptions]] = {
    "nic": Registered(options.NicOptions, f"{__name__}.nic:NicDecoder", "Vinyals 2015; paper A, Table 1"),
    "visual_attention": Registered(
        options.VisualAttentionOptions,
        f"{__name__}.visual_attention:VisualAttentionDecoder",
        "Xu 2015; paper A, Table 1; paper C, Table 1",
        also="st",
    ),
    "spatial_attention": Registered(
        options.SpatialAttentionOptions,
        f"{__name__}.adaptive_attention:SpatialAttentionDecoder",
        "Lu 2017; paper A, Table 1",
    ),
    "adaptive_attention": Registered(
        options.AdaptiveAttentionOptions,
        f"{__name__}.adaptive_attention:AdaptiveAttentionDecoder",
        "Lu 2017; paper A, Table 1",
    ),
    "att2in": Registered(
        options.Att2inOptions, f"{__name__}.att2in:Att2inDecoder", "Rennie 2017; paper A, Table 1"
    ),
    "up_down": Registered(
        options.UpDownOptions,
        f"{__name__}.up_down:UpDownDecoder",
        "Anderson 2018; paper A, Table 1; paper C, Table 1",
        also="topdown",
    ),
    "hlstm": Registered(
        options.HlstmOptions, f"{__name__}.hlstm:HlstmDecoder", "Krause 2017, Jing 2018; paper A, Table 1"
    ),
    "hlstm_dual": Registered(
        options.HlstmDualOptions, f"{__name__}.hlstm:DualHlstmDecoder", "Harzig 2019; paper A, Table 1"
    ),
    "co_attention": Registered(
        options.CoAttentionOptions,
        f"{__name__}.co_attention:CoAttentionDecoder",
        "Jing 2018; paper A, Table 1; paper C, Table 1",
        also="hcr",
    ),
    "multi_attention": Registered(
        options.MultiAttentionOptions,
        f"{__name__}.multi_attention:MultiAttentionDecoder",
        "Huang 2019; paper A, Table 1",
    ),
    "cvse": Registered(options.CvseOptions, f"{__name__}.cvse:CvseDecoder", "Ni 2020; paper C, Table 1"),
    "transformer": Registered(
        options.TransformerOptions,
        f"{__name__}.transformer:TransformerDecoder",
        "Chen 2020, the baseline of R2Gen; paper A, Table 2",
    ),
    "r2gen": Registered(
        options.R2GenOptions,
        f"{__name__}.r2gen:R2GenDecoder",
        "Chen 2020, the memory-driven transformer; paper A, Table 2; paper C, Table 1",
        also="mdt",
    ),
}
