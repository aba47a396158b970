"""Checkpoints of the public R2Gen code: mapped name by name with their vocabulary, or refused by name."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import small_corpus
from contrastcxr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from contrastcxr.checkpoint.r2gen import import_r2gen, read_vocabulary, read_weights
from contrastcxr.checkpoint.r2gen.mapping import PICTURES, encoder_name
from contrastcxr.data.sources import parse_data
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import CheckpointError, RequestError, UnknownNameError
from contrastcxr.evaluation import Bootstrap, evaluate
from contrastcxr.reading.reader import Reader
from r2gen_files import HEADS, IDS, LAYERS, SLOTS, WIDTH, extractor, r2gen_state, save_r2gen, save_vocabulary
from tiny_system import tiny_study

Import = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return r2gen_state()


@pytest.fixture
def imported(tmp_path: Path, state: dict[str, Tensor]) -> Import:
    """Imports the miniature checkpoint, with changes."""

    def call(
        *, weights: dict[str, Tensor] | None = None, words: Any = None, beside: Any = None, **options: Any
    ) -> Checkpoint:
        return import_r2gen(
            save_r2gen(tmp_path / "model_best.pth", weights or state, **(beside or {})),
            vocabulary=save_vocabulary(tmp_path / "token2idx.json", words),
            **{"heads": HEADS, "memory_heads": HEADS, **options},
        )

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, state: dict[str, Tensor]) -> Checkpoint:
    """The miniature checkpoint imported as it is; 224 pixels take a while."""
    folder = tmp_path_factory.mktemp("whole")
    return import_r2gen(
        save_r2gen(folder / "model_best.pth", state),
        vocabulary=save_vocabulary(folder / "token2idx.json"),
        heads=HEADS,
        memory_heads=HEADS,
    )


def test_what_the_shapes_show_becomes_the_configuration(whole: Checkpoint) -> None:
    config = whole.config
    decoder = config.decoder
    assert decoder.kind == "r2gen"
    assert (config.width, decoder.layers, decoder.memory_slots) == (WIDTH, LAYERS, SLOTS)
    assert (config.encoder.name, config.projection.kind) == ("resnet18", "r2gen")
    assert (config.generate.method, config.generate.beams, config.generate.length_penalty) == ("beam", 3, 0.0)


@pytest.mark.parametrize(("dataset", "views", "tokens"), [("iu_xray", 2, 60), ("mimic_cxr", 1, 100)])
def test_iu_reads_two_views_and_mimic_one(imported: Import, dataset: str, views: int, tokens: int) -> None:
    made = imported(dataset=dataset)
    config = made.config
    assert (config.data.source, config.data.max_views, config.generate.max_tokens) == (dataset, views, tokens)
    assert not made.sources[0].redistributable


def test_a_data_set_without_a_layout_is_refused(imported: Import) -> None:
    with pytest.raises(UnknownNameError, match="unknown data set of R2Gen 'mimic'; did you mean 'mimic_cxr'"):
        imported(dataset="mimic")


def test_word_ids_are_kept_and_begin_end_and_padding_share_0(whole: Checkpoint) -> None:
    tokenizer = whole.tokenizer
    assert {word: tokenizer.id_of(word) for word in tokenizer} == IDS
    assert (tokenizer.special.pad, tokenizer.special.bos, tokenizer.special.eos) == (0, 0, 0)
    assert tokenizer.special.unk == IDS["<unk>"]
    ids = [IDS[word] for word in ["the", "heart", "normal", "."]]
    assert tokenizer.decode([*ids, 0, IDS["clear"]]) == "The heart normal."


@torch.no_grad()
def test_pictures_are_encoded_as_torchvision_encodes_them(whole: Checkpoint) -> None:
    images = torch.randn(1, 2, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    found = whole.build().encode(images)
    expected = extractor()(images[0]).flatten(2).transpose(1, 2).unsqueeze(0)  # [1, 2, 49, C]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_patches_are_embedded_as_they_embed_them(whole: Checkpoint, state: dict[str, Tensor]) -> None:
    raw = torch.rand(1, 2, 49, 512, generator=torch.Generator().manual_seed(4))
    features = whole.build().features(raw=raw, view_mask=torch.ones(1, 2, dtype=torch.bool))
    weight, bias = (state[f"encoder_decoder.att_embed.0.{end}"] for end in ("weight", "bias"))
    torch.testing.assert_close(features.patches, torch.relu(raw.flatten(1, 2) @ weight.T + bias))


def test_every_weight_is_there_once_and_unchanged(whole: Checkpoint, state: dict[str, Tensor]) -> None:
    made = whole.state
    text = {name: value for name, value in state.items() if "encoder_decoder" in name and not name.endswith(".pe")}
    mapped = {name: value for name, value in made.items() if not name.startswith("encoder.")}
    assert sum(value.numel() for value in text.values()) == sum(value.numel() for value in mapped.values())
    found = torch.cat([value.flatten() for value in mapped.values()]).sort().values
    assert torch.equal(found, torch.cat([value.flatten() for value in text.values()]).sort().values)


def test_it_is_saved_loaded_and_read_with(whole: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "r2gen.safetensors"
    save_checkpoint(path, whole, dtype="float32")
    reader = Reader.from_checkpoint(path)
    reading = reader.read(tiny_study("a", views=2))
    words = set(reading.report.findings.lower().replace(".", " . ").split())
    assert words <= set(IDS)
    assert words
    assert reader.max_views == 2
    held = load_checkpoint(path)
    assert held.tokenizer.special.distinct is False
    assert held.record["file"] == "model_best.pth"


def test_it_is_scored(whole: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    reader = Reader(whole.build(), whole.tokenizer, whole.preprocess, settings=GenerationSettings(max_tokens=5))
    found = evaluate(
        reader,
        data=parse_data("phantom:smoke"),
        limit=2,
        baselines=False,
        with_meteor=False,
        bootstrap=Bootstrap(replicates=20, minimum=2),
        cache=tmp_path / "cache",
    )
    assert len(found.readings) == 2
    assert found.scores


def test_reading_one_view_of_two_changes_nothing_for_the_others(whole: Checkpoint) -> None:
    """A study of one view gets what it gets alone: the other view is masked, which their code cannot do."""
    reader = Reader(whole.build(), whole.tokenizer, whole.preprocess, settings=whole.config.generate)
    one, two = tiny_study("one", seed=1), tiny_study("two", views=2, seed=2)
    together = reader.read_batch([one, two])
    assert [reading.report for reading in together] == [reader.read(one).report, reader.read(two).report]


@pytest.mark.parametrize(
    "value",
    [
        {str(number): word for word, number in IDS.items()},
        {"token2idx": IDS, "idx2token": {str(number): word for word, number in IDS.items()}},
        {"idx2token": {str(number): word for word, number in IDS.items()}},
        sorted(IDS, key=IDS.__getitem__),
    ],
    ids=["idx2token", "both", "idx2token by name", "words in order"],
)
def test_a_vocabulary_comes_in_any_shape_of_their_tokenizer(tmp_path: Path, value: Any) -> None:
    assert read_vocabulary(save_vocabulary(tmp_path / "v.json", value)).ids == IDS


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", [IDS, {"token2idx": IDS}, sorted(IDS, key=IDS.__getitem__)])
def test_a_vocabulary_may_be_in_any_unicode_with_or_without_a_mark(
    tmp_path: Path, value: Any, encoding: str
) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps(value), encoding=encoding)
    assert read_vocabulary(path).ids == IDS


def test_words_with_accents_are_read_in_utf_16(tmp_path: Path) -> None:
    ids = {"<unk>": 1, "épanchement": 2, "\U0001fac1": 3}
    path = tmp_path / "v.json"
    path.write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-16")
    assert read_vocabulary(path).ids == ids


def test_an_annotation_with_a_mark_gives_its_vocabulary(tmp_path: Path) -> None:
    path = annotation(tmp_path / "annotation.json", images=2)
    bare = read_vocabulary(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_vocabulary(path) == bare


REPORTS = (
    "No effusion. The heart is normal.",
    "The heart is normal. No effusion.",
    "Heart normal, no effusion of 1.2 cm.",
)


def annotation(path: Path, *, images: int, **more: str) -> Path:
    samples = [
        {"id": f"CXR{n}_{n}", "report": text, "image_path": [f"{n}/{v}.png" for v in range(images)], **more}
        for n, text in enumerate(REPORTS)
    ]
    other = {"id": "CXR9_9", "report": "Rare words here.", "image_path": ["9/0.png"]}
    path.write_text(json.dumps({"train": samples, "val": [other], "test": []}))
    return path


def test_a_vocabulary_is_made_from_an_annotation_as_their_tokenizer_makes_it(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(annotation(tmp_path / "annotation.json", images=2))
    assert list(vocabulary.ids.items()) == [
        (".", 1),
        ("<unk>", 2),
        ("effusion", 3),
        ("heart", 4),
        ("no", 5),
        ("normal", 6),
    ]
    assert vocabulary.dataset == "iu_xray"


def test_mimic_counts_words_ten_times_unless_told_otherwise(tmp_path: Path) -> None:
    path = annotation(tmp_path / "annotation.json", images=1, study_id="s", subject_id="p")
    assert list(read_vocabulary(path).ids) == ["<unk>"]
    told = read_vocabulary(path, min_count=2)
    assert {"is", "the"} <= told.ids.keys()
    assert told.dataset == "mimic_cxr"


@pytest.mark.data
def test_the_published_annotation_of_iu_gives_the_published_vocabulary(shared_data: Path) -> None:
    """R2Gen's released IU X-ray model has 761 rows (issue 5 of that project): 760 words and 0."""
    assert read_vocabulary(shared_data / "iu_xray" / "annotation.json").rows == 761


def test_an_annotation_decides_how_many_views_are_read(tmp_path: Path, imported: Import) -> None:
    words = json.loads(annotation(tmp_path / "a.json", images=1, study_id="s", subject_id="p").read_text())
    made = imported(weights=r2gen_state(rows=7), words=words, min_count=3)
    assert made.config.data.max_views == 1


def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(imported: Import) -> None:
    fewer = {word: number for word, number in IDS.items() if number < len(IDS)}
    with pytest.raises(
        CheckpointError, match=r"9 ids \(its 8 words and the shared 0\), but .* was trained with 10"
    ):
        imported(words=fewer)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": 1, "b": 2}, "has no word <unk>"),
        ({"<unk>": 0, "a": 1}, "expected the ids 1 to 2, each once"),
        ({"<unk>": 1, "a": 1}, "expected the ids 1 to 2, each once"),
        ({"<unk>": 1, "a": 5}, "found 1 to 5"),
        ({"<unk>": "1", "a": 2}, "expected words with whole numbers"),
        ({"<unk>": True}, "expected words with whole numbers"),
        (["<unk>", "a", "a"], "gives a word two ids"),
        ([1, 2], "expected words with whole numbers"),
        ("words", "expected words with whole numbers"),
        ({}, "expected words with whole numbers"),
        ({"token2idx": {}}, "expected words with whole numbers"),
        ({"token2idx": {}, "idx2token": {}}, "expected words with whole numbers"),
    ],
)
def test_what_is_no_vocabulary_of_theirs_is_refused(tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_vocabulary(save_vocabulary(tmp_path / "v.json", value))


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_vocabulary_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not JSON in UTF-8"):
        read_vocabulary(tmp_path / "v.json")


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_vocabulary_in_a_pickle_is_refused_as_one(
    tmp_path: Path, write: Callable[[dict[str, int], IO[bytes]], None]
) -> None:
    path = tmp_path / "vocab.pkl"
    with path.open("wb") as file:
        write(IDS, file)
    with pytest.raises(CheckpointError, match=r"is a pickle, which could run code; give token2idx or .* as JSON"):
        read_vocabulary(path)


def test_a_pickle_with_other_objects_is_refused_by_their_name(imported: Import) -> None:
    with pytest.raises(CheckpointError, match=r"holds fractions\.Fraction beside its weights"):
        imported(beside={"config": Fraction(1, 3)})
    with pytest.raises(CheckpointError, match=r"holds numpy\S* beside its weights"):
        imported(beside={"monitor_best": np.float64(0.1)})


def test_what_is_no_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model_best.pth"
    path.write_bytes(b"weights")
    with pytest.raises(CheckpointError, match="not a checkpoint of PyTorch"):
        read_weights(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "absent.pth")
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="expected names with tensors, or a state_dict of them, found list"):
        read_weights(path)


def test_weights_alone_of_several_cards_or_as_safetensors_are_read_too(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "wrapped.pth")
    save_file(state, tmp_path / "weights.safetensors")
    for name in ("wrapped.pth", "weights.safetensors"):
        assert read_weights(tmp_path / name).keys() == state.keys()


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "state_dict in state_dict": lambda state: {"state_dict": {"state_dict": state}},
    "model": lambda state: {"model": state, "optimizer": {}},
    "model_state_dict": lambda state: {"model_state_dict": {f"module.{n}": v for n, v in state.items()}},
    "several cards": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "several cards, twice": lambda state: {f"module.module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
    "ordered": lambda state: {"state_dict": OrderedDict(state)},
    "parameters": lambda state: {
        n: nn.Parameter(v, requires_grad=v.is_floating_point()) for n, v in state.items()
    },
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("card", ["cpu", "cuda:0", "cuda:3"])
def test_weights_saved_in_an_older_format_or_on_a_card_are_the_same_weights(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, Tensor],
    wrapped: Callable[[dict[str, Tensor]], Any],
    legacy: bool,
    card: str,
) -> None:
    path = tmp_path / "model_best.pth"
    few = {name: value for name, value in state.items() if not name.startswith(PICTURES)}
    # The tag of each storage is all that tells a file saved on a card from another.
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: card)
    torch.save(wrapped(few), path, _use_new_zipfile_serialization=not legacy)
    assert zipfile.is_zipfile(path) is not legacy
    assert card.encode() in path.read_bytes()
    found = read_weights(path)
    assert found.keys() == few.keys()
    assert all(torch.equal(found[name], few[name]) and found[name].device.type == "cpu" for name in few)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_weights_in_another_precision_become_float32(
    tmp_path: Path, whole: Checkpoint, state: dict[str, Tensor], dtype: torch.dtype, legacy: bool
) -> None:
    half = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    path = tmp_path / "model_best.pth"
    torch.save({"state_dict": half}, path, _use_new_zipfile_serialization=not legacy)
    words = save_vocabulary(tmp_path / "token2idx.json")
    made = import_r2gen(path, vocabulary=words, heads=HEADS, memory_heads=HEADS)
    assert made.state.keys() == whole.state.keys()
    for name, value in made.state.items():
        assert value.dtype == whole.state[name].dtype
        assert torch.equal(
            value, whole.state[name].to(dtype).to(value.dtype) if value.is_floating_point() else value
        )
    read = Reader(made.build(), made.tokenizer, made.preprocess, settings=GenerationSettings(max_tokens=5))
    assert {value.dtype for value in read.system.parameters()} == {torch.float32}
    assert read.read(tiny_study("a", views=2)).report.sentences


def test_half_precision_safetensors_become_float32(tmp_path: Path, state: dict[str, Tensor]) -> None:
    half = {name: value.bfloat16() if value.is_floating_point() else value for name, value in state.items()}
    save_file(half, tmp_path / "weights.safetensors")
    found = read_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(found[name].float(), half[name].float()) for name in half)
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_weights_that_are_no_finite_numbers_are_refused_by_name(
    imported: Import, state: dict[str, Tensor], number: float, dtype: torch.dtype
) -> None:
    names = [f"{PICTURES}4.0.conv1.weight", "encoder_decoder.logit.weight"]
    changed = {name: value.clone() for name, value in state.items()}
    for name in names:
        changed[name] = changed[name].to(dtype)
        changed[name].view(-1)[-1] = number
    with pytest.raises(
        CheckpointError,
        match=rf"found 1 of 36,864 NaN or infinite in {re.escape(names[0])}; its training diverged",
    ):
        imported(weights=changed)


def test_large_finite_weights_are_not_taken_for_infinite_ones(imported: Import, state: dict[str, Tensor]) -> None:
    large = {"encoder_decoder.logit.bias": torch.full((len(IDS) + 1,), 3e38)}
    assert imported(weights={**state, **large}).state["decoder.transformer.output.bias"].max() == 3e38


def test_the_projections_of_wcl_are_left_out(
    imported: Import, whole: Checkpoint, state: dict[str, Tensor]
) -> None:
    more = {**state, "projection.img_proj.0.weight": torch.zeros(3, 3)}
    assert imported(weights=more).state.keys() == whole.state.keys()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder_decoder.logit.weight": None}, "not a checkpoint of R2Gen or WCL"),
        ({"encoder_decoder.model.rm.U.bias": None}, r"encoder_decoder\.model\.rm\.U\.bias is not there"),
        (
            {"encoder_decoder.model.rm.V.bias": torch.zeros(2)},
            r"model\.rm\.V\.bias \(1 such\) is no part of R2Gen",
        ),
        ({"encoder_decoder.att_embed.4.running_mean": torch.zeros(2)}, "att_embed.4.running_mean"),
        ({"encoder_decoder.model.rm.U.bias": torch.zeros(5)}, "decoder.memory.of_memory.bias is 5 instead of 32"),
        ({"encoder_decoder.model.rm.attn.linears.1.weight": torch.zeros(3, 4)}, "its fellows differ in shape"),
        ({"encoder_decoder.model.tgt_embed.1.pe": torch.ones(1, 9, WIDTH)}, "are not sinusoidal positions"),
        ({f"{PICTURES}7.1.conv1.weight": torch.zeros(2)}, "encoder.backbone.layer4.1.conv1.weight is 2"),
    ],
)
def test_weights_of_another_model_are_refused_by_name(
    imported: Import, state: dict[str, Tensor], change: dict[str, Tensor | None], says: str
) -> None:
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    with pytest.raises(CheckpointError, match=says):
        imported(weights=changed)


def test_a_checkpoint_without_pictures_is_refused(imported: Import, state: dict[str, Tensor]) -> None:
    text = {name: value for name, value in state.items() if not name.startswith(PICTURES)}
    with pytest.raises(
        CheckpointError, match=r"expected a ResNet of torchvision as visual extractor .*, found none"
    ):
        imported(weights=text)


def test_features_that_the_extractor_does_not_give_are_refused(imported: Import, state: dict[str, Tensor]) -> None:
    """WCL's MIMIC-ABN models read stored features of 1,024 channels and carry an extractor that they never ask."""
    stored = {**state, "encoder_decoder.att_embed.0.weight": torch.zeros(WIDTH, 1024)}
    with pytest.raises(CheckpointError, match=r"projection\.linear\.weight is 16×1024 instead of 16×512"):
        imported(weights=stored)


@pytest.mark.parametrize(
    ("blocks", "deep", "name"),
    [
        ((3, 4, 23, 3), True, "resnet101"),
        ((3, 4, 6, 3), True, "resnet50"),
        ((3, 4, 6, 3), False, "resnet34"),
    ],
)
def test_the_extractor_is_told_by_its_blocks(blocks: tuple[int, ...], deep: bool, name: str) -> None:
    convolutions = ("conv1", "conv2", *(("conv3",) if deep else ()))
    state = {
        f"{PICTURES}{stage}.{block}.{convolution}.weight": torch.zeros(1)
        for stage, count in zip((4, 5, 6, 7), blocks, strict=True)
        for block in range(count)
        for convolution in convolutions
    }
    assert encoder_name(state, Path("a.pth")) == name


def test_heads_that_do_not_divide_the_width_are_refused(imported: Import) -> None:
    with pytest.raises(RequestError, match=r"--memory-heads 3 does not divide the checkpoint's width 16"):
        imported(memory_heads=3)
