"""The closed lists of what may be said of a finding: side, zone, severity, and the tip of a device.

Phantoms draw from these lists, the grammar writes them and the parser reads them back.  Zones are the
patient's: `upper`, `middle` and `lower` are thirds of a lung (of the ribs for a fracture), `apex` and `base` its
ends, `hilar` and `retrocardiac` the medial parts; lobes are named as lobes.
"""

from __future__ import annotations

from dataclasses import dataclass

from contrastcxr.form import Severity, Side

SIDES: tuple[Side, ...] = ("left", "right", "bilateral")
SEVERITIES: tuple[Severity, ...] = ("minimal", "mild", "moderate", "severe")
THIRDS = ("upper", "middle", "lower")
LOBES = ("upper lobe", "middle lobe", "lower lobe", "lingula")
LUNG_ZONES = ("apex", *THIRDS, "base", "hilar", "retrocardiac", *LOBES)

DEVICE_TIPS = {
    "trachea": "endotracheal tube",
    "superior vena cava": "central venous catheter",
    "right atrium": "dialysis catheter",
    "right ventricle": "pacemaker",
    "stomach": "enteric tube",
    "pleural space": "chest tube",
}
"""Where the tip lies -> which device it is; a `Support Devices` finding carries the tip as its zone."""

MIDLINE_TIPS = ("trachea", "stomach")
"""Tips whose side nobody reports."""

ZONES = (*LUNG_ZONES, *DEVICE_TIPS)

FIXED_SIDE: dict[str, Side] = {"middle lobe": "right", "lingula": "left"}
_MIRROR_SIDE: dict[Side, Side] = {"left": "right", "right": "left", "bilateral": "bilateral"}
_MIRROR_ZONE = {"middle lobe": "lingula", "lingula": "middle lobe"}


@dataclass(frozen=True)
class FindingAttributes:
    """What a report says of one finding beyond its status; anything else about it stays unsaid."""

    side: bool = False
    zones: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    size: bool = False


SAYABLE: dict[str, FindingAttributes] = {
    "Cardiomegaly": FindingAttributes(severities=SEVERITIES),
    "Pleural Effusion": FindingAttributes(side=True, severities=SEVERITIES),
    "Pneumothorax": FindingAttributes(side=True, zones=("apex", "base"), severities=SEVERITIES),
    "Nodule": FindingAttributes(side=True, zones=LUNG_ZONES, size=True),
    "Mass": FindingAttributes(side=True, zones=LUNG_ZONES, size=True),
    "Consolidation": FindingAttributes(side=True, zones=LUNG_ZONES, severities=SEVERITIES),
    "Atelectasis": FindingAttributes(side=True, zones=LUNG_ZONES, severities=SEVERITIES),
    "Edema": FindingAttributes(side=True, severities=SEVERITIES),
    "Emphysema": FindingAttributes(side=True, zones=LUNG_ZONES, severities=SEVERITIES),
    "Fibrosis": FindingAttributes(side=True, zones=LUNG_ZONES, severities=SEVERITIES),
    "Pleural Thickening": FindingAttributes(side=True, zones=("apex", "base", *THIRDS), severities=SEVERITIES),
    "Fracture": FindingAttributes(side=True, zones=THIRDS),
    "Granuloma": FindingAttributes(side=True, zones=LUNG_ZONES, size=True),
    "Hernia": FindingAttributes(severities=SEVERITIES, size=True),
    "Support Devices": FindingAttributes(side=True, zones=tuple(DEVICE_TIPS)),
    "Infiltration": FindingAttributes(side=True, zones=LUNG_ZONES),
    "Pneumonia": FindingAttributes(side=True, zones=LUNG_ZONES),
}


def sayable_side(name: str, zone: str | None, side: Side | None) -> Side | None:
    """Return the side that a report gives.

    It is none in the midline, the right for the middle lobe, and the left for the lingula.
    """
    if not SAYABLE[name].side or zone in MIDLINE_TIPS:
        return None
    return FIXED_SIDE.get(zone or "", side)


def mirrored(side: Side | None, zone: str | None) -> tuple[Side | None, str | None]:
    """Return the side and zone after left and right are swapped; middle lobe and lingula change places."""
    swapped = None if side is None else _MIRROR_SIDE[side]
    return swapped, zone if zone is None else _MIRROR_ZONE.get(zone, zone)
