"""Trains the localizer of paper B with other negatives, on validation, to see what its attention is worth at best.

    python scripts/negative_trials.py                       # every trial, two minutes each on one core
    python scripts/negative_trials.py same_person plain

Features are those of `configs/cpu/phantom-li2018.yaml` with `contrast.kind: difference`, from the cache; what
learns is the localizer and the attention map, for nine epochs, and what is scored are the validation studies.
`same_person` compares each phantom with itself without its lesions, in its own pose, at another draw of the
detector's noise; `same_exposure` with the very same noise, so that nothing but the lesion differs. No hospital has
such negatives. Results go to results/localizers/negative_trials.json; scripts/row_pages.py prints them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.config import load_config
from contrastcxr.config.parts import TrainConfig
from contrastcxr.data.views import choose_views
from contrastcxr.features.batch import Sample
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.features.pictures import whole_picture
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.form import View
from contrastcxr.losses.base import Targets
from contrastcxr.metrics.identification import auc
from contrastcxr.models.contrast.difference import difference_weights
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.localizers.li2018 import LiLocalizer
from contrastcxr.phantom.locators import parse_locator, phantom_parameters
from contrastcxr.phantom.rendering import render
from contrastcxr.phantom.sampling import without_lesions
from contrastcxr.store.keys import view_key
from contrastcxr.training.prepare import PreparedRun, Split, prepare

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "cpu" / "phantom-li2018.yaml"
OVERRIDES = ("contrast.kind=difference", "contrast.stage=2", "data.options.boxed=80")
OUT = ROOT / "results" / "localizers" / "negative_trials.json"
EPOCHS, BATCH, SIDE, CELLS = 9, 16, 16, 64
NEIGHBOURS = 32
TRIALS: Mapping[str, str] = {
    "plain": "no attention: every place weighs 1",
    "zeros": "a map of zeros: the picture's own map",
    "nearest": "the normal picture with the nearest thumbnail (paper B)",
    "nearest_features": "the normal picture with the nearest features",
    "mean_of_32": "the mean map of the 32 normal pictures with the nearest features",
    "same_person": "the same person in the same pose without the lesions, other noise",
    "same_exposure": "the same person in the same pose without the lesions, the same noise",
    "half_zeros": "(1 + ΔM) / 2 with a map of zeros",
    "half_nearest": "(1 + ΔM) / 2 with the nearest thumbnail",
    "half_same_exposure": "(1 + ΔM) / 2 with the same person, the same noise",
}
"""What a picture is compared with; names that begin with `half_` weigh a place by half of it."""


POSE = ("rotation, degrees", "scale, %", "shift to the side, mm", "shift down, mm", "inspiration, ribs")


@dataclass(frozen=True, eq=False)
class Pictures:
    """The studies of a split, as tensors.

    Attributes:
        features: `[S, n, d]` float16, what is weighed.
        branch: `[S, n, C']` float16, what the attention map is made of.
        truth: `[S, L, m]` bool, cells of the marked grid that overlap a box, of all studies.
        samples: what is learnt of each.
        views: the one picture of each.
    """

    features: Tensor
    branch: Tensor
    truth: Tensor
    samples: Sequence[Sample]
    views: Sequence[View]

    def __len__(self) -> int:
        return len(self.features)


def pictures_of(run: PreparedRun, split: Split) -> Pictures:
    """Return the first picture of each study of a split, from the cache."""
    assert run.cache is not None  # the encoder is frozen
    reader = BoxReader(run.labels, CELLS, CELLS, run.preprocess.size)
    places = [choose_views(study, 1)[0] for study in split.studies]
    views = [study.views[place] for study, place in zip(split.studies, places, strict=True)]
    kept = [run.cache[view_key(view)] for view in views]
    truth = [
        reader.boxes(study, [place]).cells(torch.from_numpy(view.affine)[None])[0]
        for study, place, view in zip(split.studies, places, kept, strict=True)
    ]
    raw = torch.from_numpy(np.stack([view.features for view in kept]))
    channels = run.system.projection.branch_channels
    samples = run.samples(split)
    return Pictures(
        raw[..., :-channels],
        raw[..., -channels:],
        torch.stack(truth),
        [samples[i] for i in range(len(views))],
        views,
    )


@torch.no_grad()
def without_disease(run: PreparedRun, views: Sequence[View], *, other_noise: bool) -> Tensor:
    """Return the branch `[S, n, C']` of each phantom drawn again without its lesions."""
    encoder, drawn, found = run.system.encoder, [], []
    assert encoder is not None  # a system before training has one
    for number, view in enumerate(views):
        phantom, name = parse_locator(view.locator or "")
        healthy = without_lesions(phantom_parameters(phantom))
        if other_noise:
            technique = dataclasses.replace(healthy.technique, noise_seed=number)
            healthy = dataclasses.replace(healthy, technique=technique)
        drawn.append(whole_picture(run.preprocess, render(healthy, size=512, view=name).pixels)[0])
        if len(drawn) == BATCH or number + 1 == len(views):
            found.append(encoder.eval()(torch.stack(drawn))[..., -run.system.projection.branch_channels :].half())
            drawn = []
    return torch.cat(found)


class Negatives:
    """What each picture of training and validation is compared with, `[S, k]` rows of training or own branches."""

    def __init__(self, run: PreparedRun, train: Pictures, validation: Pictures) -> None:
        assert run.bank is not None  # the configuration has one
        self.run, self.train, self.validation = run, train, validation
        place = {view_key(view): row for row, view in enumerate(train.views)}
        self.normals = torch.tensor([place[view_key(view)] for view in run.bank.views])

    def of(self, trial: str) -> tuple[Tensor | None, Tensor | None]:
        """Return the negatives' branches of training and of validation, `[S, k, n, C']`; None of none."""
        kind = trial.removeprefix("half_")
        if kind in ("plain", "zeros"):
            return None, None
        if kind in ("same_person", "same_exposure"):
            other = kind == "same_person"
            both = (without_disease(self.run, each.views, other_noise=other) for each in self._splits)
            return tuple(branch.unsqueeze(1) for branch in both)  # type: ignore[return-value]
        rows = [self.nearest(split) if kind == "nearest" else self._alike(split, kind) for split in self._splits]
        return self.train.branch[rows[0]], self.train.branch[rows[1]]

    @property
    def _splits(self) -> tuple[Pictures, Pictures]:
        return self.train, self.validation

    def nearest(self, split: Pictures) -> Tensor:
        """Return the training row `[S, 1]` of the negative that the bank chooses."""
        assert self.run.bank is not None
        if split is self.train:
            return self.normals[torch.tensor(self.run.bank.chosen)]
        assert self.run.cache is not None
        small = np.stack([self.run.cache.thumbnail(view_key(view)) for view in split.views])
        found = self.run.bank.bank.find(
            torch.from_numpy(small),
            study_ids=[sample.study_id for sample in split.samples],
            patient_ids=[sample.patient_id for sample in split.samples],
            positions=[view.position for view in split.views],
        )
        return self.normals[found.rows].unsqueeze(1)

    def _alike(self, split: Pictures, kind: str) -> Tensor:
        """Return the training rows `[S, k]` of the normals with the nearest features, never the patient's own."""
        vectors = [F.normalize(each.float().flatten(1), dim=1) for each in (split.features, self.train.features)]
        cosines = vectors[0] @ vectors[1][self.normals].T
        patients = [self.train.samples[row].patient_id for row in self.normals.tolist()]
        for row, sample in enumerate(split.samples):
            cosines[row, [k for k, patient in enumerate(patients) if patient == sample.patient_id]] = -1
        return self.normals[cosines.topk(NEIGHBOURS if kind == "mean_of_32" else 1, dim=1).indices]


def pose_match(negatives: Negatives) -> dict[str, dict[str, float]]:
    """Return how far the poses of validation pictures are from those of their negatives, and of any normal one."""
    own, others = (
        np.array([_pose(view) for view in views]) for views in (negatives.validation.views, negatives.train.views)
    )
    chosen = others[negatives.nearest(negatives.validation)[:, 0].numpy()]
    normals = others[negatives.normals.numpy()]
    near = np.abs(own - chosen).mean(axis=0)
    anyone = np.abs(own[:, None] - normals[None]).mean(axis=(0, 1))
    both = zip(POSE, near, anyone, strict=True)
    return {name: {"nearest": round(float(a), 2), "any": round(float(b), 2)} for name, a, b in both}


def _pose(view: View) -> tuple[float, ...]:
    pose = phantom_parameters(parse_locator(view.locator or "")[0]).pose
    return (pose.rotation_deg, 100 * pose.scale, *pose.shift_mm, pose.inspiration_ribs)


class Attended(nn.Module):
    """The localizer of the configuration behind an attention map, as the trial has it."""

    def __init__(self, run: PreparedRun, trial: str) -> None:
        super().__init__()
        options = run.config.localizer
        projection = run.system.projection
        self.head = LiLocalizer(HeadInputs(width=projection.width, findings=run.labels), options)  # type: ignore[arg-type]
        self.to_map = nn.Linear(projection.branch_channels, 1, bias=False)
        self.trial = trial

    def forward(self, split: Pictures, rows: Tensor, negatives: Tensor | None) -> tuple[VisualFeatures, Tensor]:
        """Return the weighed features of some pictures, and what they are weighed by, `[B, n]`."""
        patches = split.features[rows].float()
        mask = torch.ones(patches.shape[:2], dtype=torch.bool)
        weights = torch.ones(patches.shape[:2])
        if self.trial != "plain":
            own = self.to_map(split.branch[rows].float()).squeeze(-1)
            other = torch.zeros_like(own)
            if negatives is not None:
                other = self.to_map(negatives[rows].float()).squeeze(-1).mean(dim=1)
            weights = difference_weights(own[:, None], other[:, None], mask[:, None])[:, 0]
        if self.trial.startswith("half_"):
            weights = (1 + weights) / 2
        patches = patches * weights.unsqueeze(-1)
        return VisualFeatures(patches, masked_mean(patches, mask), mask, GridPlaces(SIDE, SIDE)), weights


def learn(
    model: Attended, train: Pictures, negatives: Tensor | None, *, told: TrainConfig, box_weight: float, seed: int
) -> None:
    """Train for `EPOCHS` epochs with the rates and the batches of the configuration."""
    optimizer = torch.optim.Adam(model.parameters(), lr=told.optimizer.lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, told.schedule.every_epochs, told.schedule.factor)
    generator = torch.Generator().manual_seed(seed)
    empty = torch.zeros_like(train.truth[0])
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(train), generator=generator).split(told.batch_size):
            chosen = [train.samples[row] for row in rows.tolist()]
            taught = [empty if s.box_cells is None else s.box_cells[0] for s in chosen]
            with torch.autocast("cpu", torch.bfloat16):
                features, _ = model(train, rows, negatives)
                targets = Targets(
                    findings=torch.stack([_known(s.finding_targets) for s in chosen]),
                    known=torch.stack([_known(s.finding_mask) for s in chosen]),
                    box_cells=torch.stack(taught)[:, None],
                )
                terms = model.head.teach(features, targets).terms
                loss = terms["mil"][0] + box_weight * terms["box"][0]
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), told.optimizer.clip_norm or math.inf)
            optimizer.step()
        schedule.step()


def _known(values: Tensor | None) -> Tensor:
    assert values is not None  # phantoms have labels
    return values


@torch.no_grad()
def scored(model: Attended, split: Pictures, negatives: Tensor | None) -> dict[str, float]:
    """Return AUC, mean IoU and shares localized, means over findings, and the weight inside of boxes."""
    model.eval()
    probabilities, overlaps, inside = [], [], []
    for rows in torch.arange(len(split)).split(BATCH):
        with torch.autocast("cpu", torch.bfloat16):
            features, weights = model(split, rows, negatives)
            answer = model.head.answer(features)
        assert answer.probabilities is not None
        assert answer.maps is not None
        probabilities.append(answer.probabilities.float())
        marked = answer.maps.heat.view(len(rows), *split.truth.shape[1:]) > 0.5
        truth = split.truth[rows]
        shared, either = ((marked & truth).sum(-1), (marked | truth).sum(-1))
        overlaps.append(torch.where(truth.any(-1), shared / either.clamp_min(1), torch.nan))
        inside += _inside(weights, truth)
    said, iou = torch.cat(probabilities), torch.cat(overlaps).numpy()
    truth = torch.stack([_known(s.finding_targets) for s in split.samples])
    areas = [auc(said[:, k].numpy(), truth[:, k].numpy()) for k in range(said.shape[1]) if truth[:, k].any()]
    return {
        "auc": float(np.mean(areas)),
        "iou": float(np.nanmean(np.nanmean(iou, axis=0))),
        **{f"tiou_{t}": float(np.nanmean(_share(iou, t))) for t in (0.3, 0.5)},
        "inside": float(np.mean(inside)),
    }


def _share(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Return the share of the pictures with a box of each finding whose IoU is above a threshold."""
    found: np.ndarray = np.nanmean(np.where(np.isnan(iou), np.nan, iou > threshold), axis=0)
    return found


def _inside(weights: Tensor, truth: Tensor) -> list[float]:
    """Return the mean weight of the patches that overlap a box, of each picture that has one."""
    cells = truth.any(dim=1).view(-1, SIDE, CELLS // SIDE, SIDE, CELLS // SIDE)
    patches = cells.any(dim=4).any(dim=2).flatten(1)
    return [float(w[p].mean()) for w, p in zip(weights, patches, strict=True) if p.any()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of {', '.join(TRIALS)}; none takes all")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(CONFIG, overrides=[*OVERRIDES, f"train.seed={arguments.seed}"])
    run = prepare(config, cache=default_cache())
    train, validation = (pictures_of(run, split) for split in (run.train, run.validation))
    negatives = Negatives(run, train, validation)
    _keep(arguments.out, "poses", pose_match(negatives))
    box_weight = float(getattr(config.localizer, "box_weight", 1.0))
    for trial in arguments.trials or TRIALS:
        began, (learnt, judged) = time.perf_counter(), negatives.of(trial)
        torch.manual_seed(arguments.seed)
        model = Attended(run, trial)
        learn(model, train, learnt, told=config.train, box_weight=box_weight, seed=arguments.seed)
        found = scored(model, validation, judged)
        print(
            trial, {name: round(value, 4) for name, value in found.items()}, f"{time.perf_counter() - began:.0f} s"
        )
        figures = {name: round(value, 4) for name, value in found.items()}
        of = {"said": TRIALS[trial], "epochs": EPOCHS, "studies": len(validation), "seed": arguments.seed}
        _keep(arguments.out, f"{trial}-seed{arguments.seed}", {**of, **figures})


def _keep(path: Path, name: str, found: Mapping[str, object]) -> None:
    """Put what was found into the file, beside what is there."""
    there = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with atomic_write(path) as file:
        json.dump({**there, name: found}, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
