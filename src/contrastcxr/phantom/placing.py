"""Where findings go: side, zone, severity, size and shape of each, before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from contrastcxr.phantom.bones import rib_drop, rib_heights
from contrastcxr.phantom.outlines import Outlines, at, lung_point, sign
from contrastcxr.phantom.regional import REGIONS
from contrastcxr.phantom.truth import Lesion, Patient, Severity
from contrastcxr.vocab.attributes import DEVICE_TIPS, LOBES, SEVERITIES, THIRDS

OneSide = Literal["left", "right"]

HELDOUT = frozenset(
    {
        ("Nodule", "left", "upper"),
        ("Nodule", "right", "lower"),
        ("Mass", "right", "upper"),
        ("Mass", "left", "lower"),
        ("Consolidation", "left", "upper lobe"),
        ("Consolidation", "right", "middle lobe"),
        ("Atelectasis", "right", "lower"),
        ("Granuloma", "left", "middle"),
        ("Fracture", "right", "upper"),
        ("Pleural Thickening", "left", "lower"),
        ("Pneumothorax", "right", "base"),
    }
)
"""Finding, side and zone that are drawn in the held-out set only, never in training, validation or test."""


@dataclass(frozen=True)
class Place:
    """What placing needs to know of the patient, and whether the combination must be a held-out one."""

    rng: np.random.Generator
    patient: Patient
    outline: Outlines
    cnr: tuple[float, float]
    heldout: bool = False

    def lesion(self, name: str, side: OneSide | None, **fields: Any) -> Lesion:
        """Return a lesion with the draws that all have in common."""
        defaults: dict[str, Any] = {
            "zone": None,
            "severity": None,
            "size_mm": None,
            "kind": "",
            "density": 1.0,
            "xyz": (0.0, 0.0, 0.0),
        }
        target, seed = float(self.rng.uniform(*self.cnr)), int(self.rng.integers(2**31))
        return Lesion(name=name, side=side, target_cnr=target, seed=seed, **{**defaults, **fields})

    def combination(
        self, name: str, zones: tuple[str, ...], right_only: tuple[str, ...] = (), left_only: tuple[str, ...] = ()
    ) -> tuple[OneSide, str]:
        """Return a side and zone that respect the held-out set."""
        options: list[tuple[OneSide, str]] = []
        for side in ("right", "left"):
            for zone in zones:
                barred = (side == "left" and zone in right_only) or (side == "right" and zone in left_only)
                if not barred and ((name, side, zone) in HELDOUT) == self.heldout:
                    options.append((side, zone))
        if not options:
            return Place(self.rng, self.patient, self.outline, self.cnr).combination(
                name, zones, right_only, left_only
            )
        return options[int(self.rng.integers(len(options)))]

    def side(self) -> OneSide:
        """Return either side with equal chance."""
        return "right" if self.rng.random() < 0.5 else "left"


_DOWN = {"upper": (0.13, 0.34), "middle": (0.38, 0.62), "lower": (0.68, 0.95)}


def _spot(p: Place, side: str, zone: str, z_range: float = 45.0) -> tuple[float, float, float]:
    x, y = lung_point(p.outline, side, down=p.rng.uniform(*_DOWN[zone]), out=p.rng.uniform(0.14, 0.86))
    return float(x), float(y), float(p.rng.uniform(-z_range, z_range))


def _round(name: str, low: float, high: float) -> Callable[[Place], list[Lesion]]:
    def place(p: Place) -> list[Lesion]:
        side, zone = p.combination(name, THIRDS)
        size = float(np.exp(p.rng.uniform(np.log(low), np.log(high))))
        extent = (size / 2, float(p.rng.uniform(0.75, 1.0)), float(p.rng.uniform(0, 180)))
        kind = "spiculated" if p.rng.random() < 0.4 else "smooth"
        spot = _spot(p, side, zone)
        return [p.lesion(name, side, zone=zone, size_mm=size, kind=kind, xyz=spot, extent=extent)]

    return place


def _cardiomegaly(p: Place) -> list[Lesion]:
    ratio = float(p.rng.uniform(0.49, 0.52) if p.rng.random() < 0.2 else p.rng.uniform(0.52, 0.65))
    return [
        p.lesion("Cardiomegaly", None, severity=heart_severity(ratio), extent=(ratio,), xyz=(20.0, 60.0, 45.0))
    ]


def heart_severity(ratio: float) -> Severity:
    """Return the severity of a cardiothoracic ratio; .49 to .52 is borderline (minimal, uncertain)."""
    return SEVERITIES[int(np.searchsorted([0.52, 0.56, 0.60], ratio, side="right"))]


def _effusion(p: Place) -> list[Lesion]:
    sides: tuple[OneSide, ...] = ("left", "right") if p.rng.random() < 0.3 else (p.side(),)
    out = []
    for side in sides:
        severity, low, high = _effusion_grade(p.rng)
        level = float(p.rng.uniform(low, high))
        x, y = lung_point(p.outline, side, down=1.0, out=0.8)
        out.append(
            p.lesion(
                "Pleural Effusion",
                side,
                severity=severity,
                extent=(level, float(p.rng.uniform(26, 44))),
                xyz=(x, y - level / 2, -30.0),
            )
        )
    return out


def _effusion_grade(rng: np.random.Generator) -> tuple[Severity, float, float]:
    u = rng.random()
    if u < 0.4:
        return "minimal", -34.0, -22.0
    if u < 0.7:
        return "mild", -20.0, 2.0
    if u < 0.9:
        return "moderate", 8.0, 45.0
    return "severe", 60.0, 130.0


def _pneumothorax(p: Place) -> list[Lesion]:
    side, zone = p.combination("Pneumothorax", ("apex", "apex", "apex", "base"))
    gap = float(np.exp(p.rng.uniform(np.log(7), np.log(60))))
    severity = SEVERITIES[int(np.searchsorted([12, 24, 42], gap))]
    x, y = lung_point(p.outline, side, down=0.12 if zone == "apex" else 0.9, out=0.8)
    return [p.lesion("Pneumothorax", side, zone=zone, severity=severity, extent=(gap,), xyz=(x, y, 0.0))]


def _regional(
    name: str, zones: tuple[str, ...], reach: tuple[float, float], both: float
) -> Callable[[Place], list[Lesion]]:
    def place(p: Place) -> list[Lesion]:
        side, zone = p.combination(name, zones, right_only=("middle lobe",), left_only=("lingula",))
        scale = float(p.rng.uniform(*reach))
        two_sided = p.rng.random() < both
        sides: tuple[OneSide, ...] = ("left", "right") if two_sided else (side,)
        return [_region_lesion(p, name, s, zone, scale, reach) for s in sides]

    return place


def _region_lesion(
    p: Place, name: str, side: OneSide, zone: str, scale: float, reach: tuple[float, float]
) -> Lesion:
    d1, d2, o1, o2 = REGIONS[zone]
    down = float(p.rng.uniform(d1 + 0.3 * (d2 - d1), d1 + 0.7 * (d2 - d1)))
    low, high = max(o1, 0.12), min(o2, 0.85)
    out = float(p.rng.uniform(low + 0.15 * (high - low), low + 0.85 * (high - low)))
    grade = (scale - reach[0]) / (reach[1] - reach[0])
    x, y = lung_point(p.outline, side, down=down, out=out)
    extent = (down, out, scale * float(p.rng.uniform(0.9, 1.2)), scale * float(p.rng.uniform(1.4, 1.9)))
    return p.lesion(
        name,
        side,
        zone=zone,
        severity=SEVERITIES[1 + min(int(grade * 3), 2)],
        extent=extent,
        xyz=(x, y, float(p.rng.uniform(-40, 30))),
    )


def _atelectasis(p: Place) -> list[Lesion]:
    side, zone = p.combination("Atelectasis", ("lower", "lower", "base", "middle", "upper"))
    if zone in ("upper", "lower") and p.rng.random() < 0.35:
        return [_collapse(p, side, zone)]
    half, thick = float(p.rng.uniform(16, 42)), float(p.rng.uniform(1.6, 4.2))
    down = {"upper": (0.2, 0.35), "middle": (0.4, 0.62), "lower": (0.7, 0.9), "base": (0.86, 1.02)}[zone]
    x, y = lung_point(p.outline, side, down=p.rng.uniform(*down), out=p.rng.uniform(0.35, 0.7))
    severity: Severity = "minimal" if half < 22 else "mild" if half < 34 else "moderate"
    extent = (half, thick, float(sign(side) * p.rng.normal(8, 18)))
    return [
        p.lesion(
            "Atelectasis",
            side,
            zone=zone,
            severity=severity,
            kind="plate",
            extent=extent,
            xyz=(x, y, float(p.rng.uniform(-40, 40))),
        )
    ]


def _collapse(p: Place, side: OneSide, zone: str) -> Lesion:
    severity: Severity = "moderate" if p.rng.random() < 0.6 else "severe"
    if zone == "upper":
        extent = (float(p.rng.uniform(0.16, 0.26)), 0.3, 1.3, float(p.rng.uniform(0.05, 0.2)))
    else:
        extent = (
            float(p.rng.uniform(0.68, 0.85)),
            0.0,
            float(p.rng.uniform(0.35, 0.6)),
            float(p.rng.uniform(0.3, 0.9)),
        )
    x, y = lung_point(p.outline, side, down=0.15 if zone == "upper" else 0.95, out=0.3)
    return p.lesion(
        "Atelectasis", side, zone=zone, severity=severity, kind="collapse", extent=extent, xyz=(x, y, -35.0)
    )


def _edema(p: Place) -> list[Lesion]:
    sides: tuple[OneSide, ...] = ("left", "right") if p.rng.random() < 0.85 else (p.side(),)
    reach = float(p.rng.uniform(34, 64))
    severity: Severity = "mild" if reach < 44 else "moderate" if reach < 55 else "severe"
    low = float(p.rng.uniform(0, 26))
    return [
        p.lesion(
            "Edema",
            side,
            severity=severity,
            extent=(reach * float(p.rng.uniform(0.9, 1.1)), low),
            xyz=(sign(side) * 55, 10.0 + low, 0.0),
        )
        for side in sides
    ]


def _pleura(p: Place) -> list[Lesion]:
    side, zone = p.combination("Pleural Thickening", ("apex", "upper", "middle", "lower"))
    middle = {"apex": 0.04, "upper": 0.26, "middle": 0.5, "lower": 0.8}[zone] + float(p.rng.uniform(-0.05, 0.05))
    thick, half = float(p.rng.uniform(4, 13)), float(p.rng.uniform(0.10, 0.22))
    severity: Severity = "mild" if thick < 7 else "moderate" if thick < 10 else "severe"
    x, y = lung_point(p.outline, side, down=middle, out=0.95)
    return [
        p.lesion(
            "Pleural Thickening", side, zone=zone, severity=severity, extent=(thick, middle, half), xyz=(x, y, 0.0)
        )
    ]


def _fracture(p: Place) -> list[Lesion]:
    side, zone = p.combination("Fracture", THIRDS)
    rib = int(p.rng.integers(*{"upper": (2, 4), "middle": (4, 7), "lower": (7, 9)}[zone]))
    u = float(p.rng.uniform(0.55, 0.93))
    theta = np.arcsin(u)
    y = rib_heights(p.patient)[rib] + float(rib_drop(p.patient, np.float32(theta)))  # type: ignore[arg-type]
    wall = at(p.outline.wall(side), y) + 3.5
    slope = p.patient.rib_slope * (9 + 40 * theta - 16 * np.cos(2 * theta)) / (wall * np.cos(theta))
    angle = float(np.rad2deg(np.arctan(slope))) * sign(side)
    extent = (angle, float(p.rng.uniform(1.2, 2.6)), float(p.rng.choice([-1, 1]) * p.rng.uniform(2.0, 5.0)))
    return [
        p.lesion(
            "Fracture",
            side,
            zone=zone,
            kind=f"rib {rib + 1}",
            extent=extent,
            xyz=(sign(side) * u * wall, y, -65.0),
        )
    ]


def _granuloma(p: Place) -> list[Lesion]:
    side, zone = p.combination("Granuloma", THIRDS)
    size = float(p.rng.uniform(3.5, 9.5))
    return [p.lesion("Granuloma", side, zone=zone, size_mm=size, extent=(size / 2,), xyz=_spot(p, side, zone))]


def _hernia(p: Place) -> list[Lesion]:
    radius = float(p.rng.uniform(16, 38))
    severity: Severity = "mild" if radius < 23 else "moderate" if radius < 31 else "severe"
    centre = (
        float(p.rng.uniform(2, 26)),
        p.outline.dome_left - 0.55 * radius + float(p.rng.uniform(-4, 8)),
        -35.0,
    )
    extent = (radius, float(p.rng.uniform(0.75, 0.95)), float(p.rng.uniform(0.2, 0.6)))
    return [p.lesion("Hernia", None, severity=severity, size_mm=2 * radius, extent=extent, xyz=centre)]


def place_device(p: Place) -> list[Lesion]:
    """Return one line or tube; its zone says where the tip lies."""
    tip = str(p.rng.choice(tuple(DEVICE_TIPS), p=[0.16, 0.3, 0.1, 0.18, 0.16, 0.1]))
    side = None if tip in ("trachea", "stomach") else p.side()
    return [p.lesion("Support Devices", side, zone=tip, kind="line", extent=(float(p.rng.normal(0, 8)),))]


PLACERS: dict[str, Callable[[Place], list[Lesion]]] = {
    "Cardiomegaly": _cardiomegaly,
    "Pleural Effusion": _effusion,
    "Pneumothorax": _pneumothorax,
    "Nodule": _round("Nodule", 8, 30),
    "Mass": _round("Mass", 31, 80),
    "Consolidation": _regional("Consolidation", LOBES, (0.16, 0.42), 0.0),
    "Atelectasis": _atelectasis,
    "Edema": _edema,
    "Emphysema": _regional("Emphysema", ("upper", "lower", "upper"), (0.25, 0.5), 0.8),
    "Fibrosis": _regional("Fibrosis", ("base", "upper", "base"), (0.2, 0.42), 0.7),
    "Pleural Thickening": _pleura,
    "Fracture": _fracture,
    "Granuloma": _granuloma,
    "Hernia": _hernia,
}
