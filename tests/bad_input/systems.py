"""Checkpoints that cannot be loaded, configurations of no system, requests and folders that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bad_input.case import LOAD, READ, SOME_FAILED, TRAIN, WRONG_REQUEST, Case, Make
from bad_input.files import binary, changed, cut, json_lines, nothing, picture, safetensors, text, with_metadata
from contrastcxr.config import parse_config
from contrastcxr.errors import listed
from contrastcxr.files import known_checkpoints
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.vocab.labels import PHANTOM
from tiny_system import save_tiny, tiny_checkpoint, tiny_config


def wrong(name: str, make: Make, command: str, says: str = "") -> Case:
    """A request that is refused as a whole: exit status 2, and nothing is done."""
    return Case(name, make, command, WRONG_REQUEST, says)


def checkpoint(**metadata: str | None) -> Make:
    """A good checkpoint with entries of its metadata replaced; None removes one."""
    return changed(save_tiny, lambda whole: with_metadata(whole, **metadata))


def with_config(**changes: Any) -> Make:
    """A checkpoint whose configuration has other values."""
    return checkpoint(config=json.dumps({**tiny_config().to_dict(), **changes}))


def without_a_weight(folder: Path) -> Path:
    """A checkpoint that lacks one tensor."""
    path = save_tiny(folder)
    state = load_file(path)
    del state["projection.linear.bias"]
    save_file(state, path, metadata=metadata_of(path))
    return path


def metadata_of(path: Path) -> dict[str, str]:
    """What a checkpoint says of itself, as strings."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    found: dict[str, str] = json.loads(whole[8 : 8 + size])["__metadata__"]
    return found


LOCALIZER = {
    "decoder": None,
    "finding_head": None,
    "contrast": None,
    "localizer": {"kind": "cam", "labels": "phantom"},
    "train": {"monitor": "loss"},
}
"""A system that marks where findings are and writes no word."""


def save_localizer(folder: Path) -> Path:
    """A good checkpoint of one."""
    return save_tiny(folder, parse_config({**tiny_config().to_dict(), **LOCALIZER}, where="localizer"))


def localizer(**metadata: str | None) -> Make:
    """A localizer's checkpoint with entries of its metadata replaced."""
    return changed(save_localizer, lambda whole: with_metadata(whole, **metadata))


def localizer_with(**weights: torch.Tensor | None) -> Make:
    """A localizer's checkpoint with weights of its classifier replaced; None removes one."""

    def make(folder: Path) -> Path:
        path = save_localizer(folder)
        state = load_file(path)
        for name, value in weights.items():
            if value is None:
                del state[f"localizer.classifier.{name}"]
            else:
                state[f"localizer.classifier.{name}"] = value
        save_file(state, path, metadata=metadata_of(path))
        return path

    return make


def training_state(name: str, value: Any, *, beside: bool = False) -> Make:
    """A pickle as PyTorch writes it, beside a good checkpoint or alone."""

    def make(folder: Path) -> Path:
        if beside:
            save_tiny(folder).rename(folder / "checkpoint.safetensors")
        torch.save(value, folder / name)
        return folder / name

    return make


PICKLED = training_state("last.ckpt", {"state_dict": {}})
CHECKPOINTS = (
    wrong(
        "no checkpoint there",
        nothing("absent.safetensors"),
        LOAD,
        "unknown model (no such file or bundled checkpoint) '{bad}'; known: "
        + ", ".join(sorted(known_checkpoints())),
    ),
    wrong(
        "an empty checkpoint",
        binary("a.safetensors", b""),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found an empty file; give a checkpoint.safetensors of "
            "a run folder, or a bundled name"
        ),
    ),
    wrong(
        "a checkpoint that is text",
        text("a.safetensors", "weights"),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found something else, or the first bytes of one; give "
            "a checkpoint.safetensors of a run folder, or a bundled name"
        ),
    ),
    wrong(
        "a checkpoint cut off",
        changed(save_tiny, cut(0.5)),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found one that is cut off, {size} bytes of "
            "{model size}; give a checkpoint.safetensors of a run folder, or a bundled name"
        ),
    ),
    wrong(
        "a checkpoint cut off in its header",
        changed(save_tiny, lambda data: data[:100]),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found something else, or the first bytes of one; give "
            "a checkpoint.safetensors of a run folder, or a bundled name"
        ),
    ),
    wrong(
        "a header of 2⁶³ bytes",
        binary("a.safetensors", b"\xff" * 7 + b"\x7f" + b"{}"),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found something else, or the first bytes of one; give "
            "a checkpoint.safetensors of a run folder, or a bundled name"
        ),
    ),
    wrong(
        "a tensor beyond the file",
        safetensors("a.safetensors", {"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
        LOAD,
        (
            "{bad}: expected a safetensors checkpoint, found one that is cut off, 93 bytes of "
            "4,398,046,511,197; give a checkpoint.safetensors of a run folder, or a bundled name"
        ),
    ),
    wrong(
        "weights of another project",
        safetensors("a.safetensors", {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        LOAD,
        (
            "{bad}: expected a checkpoint of contrastcxr, found safetensors without its metadata; give one "
            "that `contrastcxr train` wrote, or a bundled name"
        ),
    ),
    wrong(
        "another format version",
        checkpoint(format_version="7"),
        LOAD,
        (
            "{bad}: checkpoint format 7, this version reads 1; use the version of contrastcxr that wrote it, "
            "or train again"
        ),
    ),
    wrong(
        "a checkpoint without a vocabulary",
        checkpoint(vocabulary=None),
        LOAD,
        "{bad}: the metadata lack vocabulary; the file was changed, get it again",
    ),
    wrong(
        "a vocabulary that is not JSON",
        checkpoint(vocabulary="{words"),
        LOAD,
        "{bad}: the vocabulary in its metadata is damaged; the file was changed, get it again",
    ),
    wrong(
        "a vocabulary of another shape",
        checkpoint(vocabulary="[]"),
        LOAD,
        "{bad}: the vocabulary in its metadata is damaged; the file was changed, get it again",
    ),
    wrong(
        "a temperature that is a word",
        checkpoint(temperature='"warm"'),
        LOAD,
        "{bad}: the temperature in its metadata is damaged; the file was changed, get it again",
    ),
    wrong(
        "a temperature of 0",
        checkpoint(temperature="0"),
        LOAD,
        "{bad}: the temperature in its metadata is damaged; the file was changed, get it again",
    ),
    wrong(
        "labels of nobody",
        checkpoint(labels='["Flux"]'),
        LOAD,
        (
            "{bad}: its labels are not the 14 of its heads (number 1 is Flux instead of Cardiomegaly); the file "
            "was changed, get it again"
        ),
    ),
    wrong(
        "preprocessing of another shape",
        checkpoint(preprocessing='{"size": -1}'),
        LOAD,
        "{bad}: the preprocessing in its metadata is damaged; the file was changed, get it again",
    ),
    wrong(
        "pool rows of another count",
        checkpoint(pool='{"kind": "normal"}'),
        LOAD,
        (
            "{bad}: its metadata contradict its weights; the file was changed or written by another version: "
            "train or download it again"
        ),
    ),
    wrong(
        "a configuration with an unknown key",
        with_config(flux=3),
        LOAD,
        (
            "{bad}: unknown key 'flux'; known: text, align, losses, localizer, finding_head, contrast, data, "
            "decoder and 8 more; the checkpoint was written by another version of contrastcxr"
        ),
    ),
    wrong(
        "a configuration of another width",
        with_config(width=32),
        LOAD,
        (
            "{bad}: the weights do not fit its own configuration (projection.linear.weight is 16×96 instead "
            "of 32×96); the file was changed or written by another version: train or download it again"
        ),
    ),
    wrong(
        "an encoder of nobody",
        with_config(encoder={"name": "resnet_of_nobody"}),
        LOAD,
        (
            "{bad}: unknown encoder 'resnet_of_nobody'; did you mean 'resnet50_gn'?; the file was changed or "
            "written by another version: train or download it again"
        ),
    ),
    wrong(
        "a tensor missing",
        without_a_weight,
        LOAD,
        (
            "{bad}: the weights do not fit its own configuration (it lacks projection.linear.bias); the file "
            "was changed or written by another version: train or download it again"
        ),
    ),
    wrong(
        "no vocabulary beside a decoder",
        checkpoint(vocabulary="null"),
        LOAD,
        (
            "{bad}: its configuration has a decoder, its metadata have no vocabulary; the file was changed, "
            "get it again"
        ),
    ),
    wrong(
        "a vocabulary without a decoder",
        localizer(vocabulary=json.dumps(tiny_checkpoint().tokenizer.to_dict())),  # type: ignore[union-attr]
        LOAD,
        (
            "{bad}: its configuration has no decoder, its metadata have a vocabulary; the file was changed, "
            "get it again"
        ),
    ),
    wrong(
        "labels in another order than a localizer's",
        localizer(labels=json.dumps([*PHANTOM[1:], PHANTOM[0]])),
        LOAD,
        (
            "{bad}: its labels are not the 14 of its heads (number 1 is Pleural Effusion instead of "
            "Cardiomegaly); the file was changed, get it again"
        ),
    ),
    wrong(
        "a localizer without labels",
        localizer(labels="[]"),
        LOAD,
        (
            "{bad}: its labels are not the 14 of its heads (number 1 is none instead of Cardiomegaly); the file "
            "was changed, get it again"
        ),
    ),
    wrong(
        "a localizer of other labels",
        localizer(
            config=json.dumps(
                {**tiny_config().to_dict(), **LOCALIZER, "localizer": {"kind": "cam", "labels": "nih14"}}
            )
        ),
        LOAD,
        (
            "{bad}: its labels are not the 14 of its heads (number 1 is Cardiomegaly instead of Atelectasis); the "
            "file was changed, get it again"
        ),
    ),
    wrong(
        "a localizer's weight missing",
        localizer_with(weight=None),
        LOAD,
        (
            "{bad}: the weights do not fit its own configuration (it lacks localizer.classifier.weight); the file "
            "was changed or written by another version: train or download it again"
        ),
    ),
    wrong(
        "a localizer's weight of another shape",
        localizer_with(weight=torch.zeros(8, 16)),
        LOAD,
        (
            "{bad}: the weights do not fit its own configuration (localizer.classifier.weight is 8×16 instead of "
            "14×16); the file was changed or written by another version: train or download it again"
        ),
    ),
    wrong(
        "a pickle without leave",
        PICKLED,
        LOAD,
        (
            "{bad}: a pickle can run code and is not read; give the run folder's checkpoint.safetensors, or "
            "allow a training state of ours with --allow-pickle (weights only); a checkpoint of R2Gen or WCL "
            "becomes ours by `contrastcxr import r2gen`"
        ),
    ),
    wrong(
        "a pickle alone, with leave",
        PICKLED,
        LOAD + " --allow-pickle",
        (
            "{bad}: expected checkpoint.safetensors beside it for vocabulary and configuration, found none; "
            "give the one inside its run folder"
        ),
    ),
    wrong(
        "a pickle that would run code",
        training_state("last.ckpt", {"state_dict": Path("x")}, beside=True),
        LOAD + " --allow-pickle",
        (
            "{bad}: expected the state of a training run, found a damaged file or one that holds more than "
            "weights, which could run code; give another"
        ),
    ),
    wrong(
        "a pickle of other weights",
        training_state("last.ckpt", {"state_dict": {}}, beside=True),
        LOAD + " --allow-pickle",
        "{bad}: its weights are not those of the system in checkpoint.safetensors; give the matching pair",
    ),
    wrong(
        "a pickle that is none",
        binary("last.ckpt", b"none"),
        LOAD + " --allow-pickle",
        (
            "{bad}: expected checkpoint.safetensors beside it for vocabulary and configuration, found none; "
            "give the one inside its run folder"
        ),
    ),
)


def config(*lines: str) -> Make:
    """A configuration file."""
    return text("system.yaml", "name: mine", "decoder: {kind: nic}", *lines)


def shipped(name: str) -> Make:
    """One of the configurations that are shipped, by its path."""
    return lambda _: CPU / f"{name}.yaml"


def labels_alone(head: str, *, status: str, stage: str = "1") -> Make:
    """A configuration of one head beside a manifest of two studies a split, whose one finding has this status."""

    def make(folder: Path) -> Path:
        rows = [
            {
                "study_id": f"{split}-{number}",
                "patient_id": f"{split}-{number}",
                "views": [{"view_id": "v", "locator": "chest.png", "position": "PA"}],
                "readings": [
                    {
                        "study_id": f"{split}-{number}",
                        "author": {"kind": "human", "name": "someone"},
                        "findings": [{"name": "Nodule", "status": status}],
                    }
                ],
                "split": split,
            }
            for split in ("train", "validation")
            for number in range(2)
        ]
        picture()(folder)
        manifest = json_lines("studies.jsonl", *rows)(folder)
        return text(
            "system.yaml",
            "name: mine",
            head,
            f"data: {{source: manifest, root: '{manifest}'}}",
            f"encoder: {{name: test_efficientnet, weights: random, stage: {stage}}}",
            "train: {monitor: loss}",
        )(folder)

    return make


CPU = Path(__file__).resolve().parents[2] / "configs" / "cpu"
CONFIGS = (
    wrong(
        "no configuration there",
        nothing("absent.yaml"),
        TRAIN,
        "{bad}: No such file or directory; give the path of a configuration file",
    ),
    wrong(
        "a configuration that is not YAML",
        config("train: [1", "width: 8"),
        TRAIN,
        "{bad} line 4: is not YAML; correct its brackets, colons or indents",
    ),
    wrong(
        "an empty configuration",
        text("system.yaml"),
        TRAIN,
        "{bad}: expected keys such as `decoder:`, found nothing",
    ),
    wrong(
        "a configuration that is not UTF-8",
        binary("system.yaml", b"name: \xe9"),
        TRAIN,
        "{bad}: byte 6 is not UTF-8 text; save it as UTF-8",
    ),
    wrong(
        "an unknown key",
        config("trian:", "  epochs: 1"),
        TRAIN,
        "{bad}: unknown key 'trian'; did you mean 'train'?",
    ),
    wrong(
        "an unknown key inside",
        config("train:", "  epoch: 1"),
        TRAIN,
        "{bad}: unknown key 'train.epoch'; did you mean 'epochs'?",
    ),
    wrong(
        "a value out of its range",
        config("train:", "  epochs: -3"),
        TRAIN,
        "{bad}: train.epochs: Input should be greater than or equal to 1, found -3",
    ),
    wrong(
        "a value of another kind",
        config("width: wide"),
        TRAIN,
        ("{bad}: width: Input should be a valid integer, unable to parse string as an integer, found 'wide'"),
    ),
    wrong(
        "a decoder of nobody",
        text("system.yaml", "name: mine", "decoder: {kind: lstm}"),
        TRAIN,
        "{bad}: unknown decoder.kind 'lstm'; did you mean 'hlstm'?",
    ),
    wrong(
        "nothing that teaches",
        text("system.yaml", "name: mine"),
        TRAIN,
        (
            "mine has none of decoder, finding_head, localizer: nothing teaches it and it answers nothing; "
            "give it one, such as --set decoder.kind=transformer"
        ),
    ),
    wrong(
        "an encoder and nothing that teaches",
        text("system.yaml", "name: mine", "encoder: {name: resnet50}"),
        TRAIN,
        (
            "mine has none of decoder, finding_head, localizer: nothing teaches it and it answers nothing; "
            "give it one, such as --set decoder.kind=transformer"
        ),
    ),
    wrong(
        "both heads taken away",
        shipped("phantom"),
        TRAIN + " --set decoder=null --set finding_head=null",
        (
            "phantom has none of decoder, finding_head, localizer: nothing teaches it and it answers nothing; "
            "give it one, such as --set decoder.kind=transformer"
        ),
    ),
    wrong(
        "an option of no decoder, beside the list",
        shipped("phantom-cam"),
        TRAIN + " --set decoder.heads=4",
        (
            "{bad}: decoder.heads: there is no decoder here; choose one with --set decoder.kind=KIND: "
            + listed(DECODERS)
        ),
    ),
    wrong(
        "an option of no decoder",
        text("system.yaml", "name: mine", "finding_head: {labels: phantom}"),
        TRAIN + " --set decoder.heads=4",
        (
            "{bad}: decoder.heads: there is no decoder here; give it a decoder.kind of "
            f"{listed(DECODERS)}, or take the option away"
        ),
    ),
    wrong(
        "options of no localizer",
        config(),
        TRAIN + " --set localizer.cuts=tuned --set localizer.labels=phantom",
        (
            "{bad}: localizer.cuts, localizer.labels: there is no localizer here; give it a localizer.kind of "
            f"{', '.join(LOCALIZERS)}, or take the options away"
        ),
    ),
    wrong(
        "a localizer of nobody",
        config("localizer: {kind: cma, labels: phantom}"),
        TRAIN,
        "{bad}: unknown localizer.kind 'cma'; did you mean 'cam'?",
    ),
    wrong(
        "a localizer that is a word",
        config("localizer: cam"),
        TRAIN,
        "{bad}: localizer: expected keys, found 'cam'; --set localizer.kind=cam chooses one",
    ),
    wrong(
        "a localizer of no labels",
        config("localizer: {kind: cam}"),
        TRAIN,
        "{bad}: no 'localizer.labels'; every localizer needs it",
    ),
    wrong(
        "an unknown option of a localizer",
        config("localizer: {kind: cam, labels: phantom, cutz: tuned}"),
        TRAIN,
        "{bad}: unknown key 'localizer.cutz'; did you mean 'cuts'?",
    ),
    wrong(
        "an option of another decoder",
        config(),
        TRAIN + " --set decoder.heads=4",
        "{bad}: unknown key 'decoder.heads'; known: dropout, embedding, forget_bias, hidden, input_dropout, "
        "input_relu, kind, word_deviation",
    ),
    wrong(
        "an option of another decoder that is nearly one of its own",
        config(),
        TRAIN + " --set decoder.embed=4",
        "{bad}: unknown key 'decoder.embed'; did you mean 'embedding'?",
    ),
    wrong(
        "a checkpoint chosen by its words without a decoder",
        shipped("phantom-cam"),
        TRAIN + " --set train.monitor=bleu4",
        "train.monitor bleu4 without a decoder: nothing writes a report; set it to auc or loss",
    ),
    wrong(
        "a checkpoint chosen by what is not measured",
        shipped("phantom-cam"),
        TRAIN + " --set train.monitor=iou",
        "{bad}: train.monitor: Input should be 'bleu4', 'positive_f1', 'auc', 'map', 'loss', 'report_loss', "
        "'abnormal_words' or 'last', found 'iou'",
    ),
    wrong(
        "findings that nobody labelled",
        labels_alone("finding_head: {labels: phantom}", status="unmentioned"),
        TRAIN,
        (
            "finding_head.labels phantom with data.source manifest, 2 training studies: they say of none of these "
            "findings whether it is there; choose labelled data"
        ),
    ),
    wrong(
        "findings that no picture has",
        labels_alone("localizer: {kind: cam, labels: phantom}", status="absent"),
        TRAIN,
        (
            "localizer.labels phantom with data.source manifest, 2 training studies: none of these findings is "
            "present in any of them; choose labels that the data have, or raise data.train_limit"
        ),
    ),
    wrong(
        "a cut tuned without boxes",
        labels_alone("localizer: {kind: cam, labels: phantom, cuts: tuned}", status="present"),
        TRAIN,
        (
            "localizer.cuts tuned with data.source manifest: none of its 2 validation studies has a box of a "
            "finding of phantom, on which the cut is chosen; set localizer.cuts: fixed, or choose data with "
            "boxes, such as phantom:standard"
        ),
    ),
    wrong(
        "a parent that is the file itself",
        config("extends: system.yaml"),
        TRAIN,
        "{bad}: `extends` leads back to this file; remove one of the two lines",
    ),
    wrong(
        "a parent that is not there",
        config("extends: base.yaml"),
        TRAIN,
        "{folder}/base.yaml: No such file or directory; give the path of a configuration file",
    ),
    wrong(
        "an override without a value",
        config(),
        TRAIN + " --set train.epochs",
        "--set train.epochs: expected a.b=value",
    ),
    wrong(
        "an override inside a value",
        config(),
        TRAIN + " --set name.first=1",
        "--set name.first=1: `name` holds a single value, not keys",
    ),
    wrong(
        "a source of nobody",
        config("data:", "  source: nih15", "  root: /data"),
        TRAIN,
        "unknown data source 'nih15'; did you mean 'nih14'?",
    ),
)

IN_THE_WAY = binary("occupied", b"a file")
REQUESTS = (
    wrong(
        "an unknown model",
        nothing("phantm"),
        "read {picture} --model phantm --out {out}",
        "unknown model (no such file or bundled checkpoint) 'phantm'; did you mean 'phantom'?",
    ),
    wrong("an unknown format", picture(), READ + " --format htlm", "unknown format 'htlm'; did you mean 'html'?"),
    wrong(
        "an unknown number format",
        picture(),
        READ + " --dtype float31",
        "unknown dtype 'float31'; did you mean 'float32'?",
    ),
    wrong(
        "an unknown source",
        nothing("data"),
        "data check nih15:{bad}",
        "unknown data source 'nih15'; did you mean 'nih14'?",
    ),
    wrong(
        "an unknown level of phantoms",
        nothing("data"),
        "data check phantom:stadnard",
        "unknown phantom level 'stadnard'; did you mean 'standard'?",
    ),
    wrong(
        "an unknown parameter",
        picture(),
        "data check manifest:{bad}?image=any",
        "unknown parameter of manifest 'image'; did you mean 'images'?",
    ),
    wrong(
        "an unknown option",
        picture(),
        "data check iu_xray:{bad},layuot=openi",
        "iu_xray:{bad},layuot=openi: iu_xray has no option 'layuot'; did you mean 'layout'?",
    ),
    wrong(
        "a parameter that is no number",
        picture(),
        "data check phantom:smoke?seed=one",
        "phantom:smoke?seed=one: seed=one; expected a whole number from 0",
    ),
    wrong(
        "a source without a root",
        nothing("x"),
        "data check nih14:",
        "nih14:: no folder after 'nih14:'; expected nih14:<folder>",
    ),
    wrong(
        "a model and readings",
        picture(),
        "evaluate {model} --readings {bad} --data phantom:smoke --out {out}",
        "give either a MODEL or --readings FILE",
    ),
    wrong(
        "an unknown protocol",
        picture(),
        "evaluate {model} --data phantom:smoke --protocol published --out {out}",
        "unknown protocol 'published'; did you mean 'as-published'?",
    ),
    Case(
        "a file in the place of the folder",
        IN_THE_WAY,
        "read {picture} --model {model} --out {bad} --format json",
        SOME_FAILED,
        (
            "{bad}/chest.json: could not be written (File exists); nothing is left of it; free some space or "
            "choose another folder with --out"
        ),
    ),
    Case(
        "a file in the place of a folder, for a manifest",
        IN_THE_WAY,
        "data manifest {picture} --out {bad}/a.jsonl",
        SOME_FAILED,
        (
            "{bad}/a.jsonl: could not be written (File exists); nothing is left of it; free some space or "
            "choose another folder with --out"
        ),
    ),
)

SYSTEMS = (*CHECKPOINTS, *CONFIGS, *REQUESTS)
