"""The chest and other parts, in languages and spellings of consoles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.sr._cid_dict import cid_concepts
from radiograph_files import with_bytes

from contrastcxr.data.dicom.body_parts import part_named
from contrastcxr.data.dicom.body_words import BONES_OF_THE_CHEST, CHEST, ELSEWHERE
from contrastcxr.data.dicom.reading import read_header, read_pixels
from contrastcxr.errors import ImageError

Dicom = Callable[..., Path]

CHESTS = (
    "CHEST, chest, PORT CHEST, CHEST PA/LAT, CHEST_2VIEWS, CHESTABDOMEN, CHEST ABDOMEN, "
    "NECKCHEST, CXR, THORAX, THORAX_PA, Thorax a.p., LUNG, LUNGS, THORACIC, BRUST, BRUSTKORB, "
    "Lunge, THORAX/ABDOMEN, POUMONS, POITRINE, CAGE THORACIQUE, TORAX, TÓRAX, PULMON, PULMÓN, "
    "PECHO, PEITO, PULMÃO, TORACE, POLMONI, BORSTKAS, LONGEN, KLATKA PIERSIOWA, PŁUCA, HRUDNÍK, "
    "PLÍCE, BRÖSTKORG, BRYSTKASSE, RINTAKEHÄ, KEUHKOT, MELLKAS, GÖĞÜS, AKCİĞER, TORAKS, Грудная "
    "клетка, ЛЁГКИЕ, ОГК, ГРУДНА КЛІТКА, ГРЪДЕН КОШ, ΘΩΡΑΚΑΣ, ΠΝΕΥΜΟΝΕΣ, 胸部, 胸, 肺, 胸部正面, "
    "胸正侧位, 胸腹部, 흉부, 가슴, الصدر, رئة, חזה, ריאות, छाती, ทรวงอก, NGỰC, LỒNG NGỰC, PHỔI, "
    "DADA, PARU-PARU, THORACIC AORTA"
)
OTHERS = {
    "spine": (
        "SPINE, TSPINE, T-SPINE, THORACIC SPINE, BWS, BRUSTWIRBELSÄULE, Brustwirbelsaeule, RACHIS "
        "DORSAL, COLUMNA TORACICA, COLONNA DORSALE, KRĘGOSŁUP PIERSIOWY, HRUDNÍ PÁTEŘ, RINTARANKA, "
        "GÖĞÜS OMURGASI, ГРУДНОЙ ОТДЕЛ ПОЗВОНОЧНИКА, 胸椎, 흉추, CỘT SỐNG NGỰC, ΘΩΡΑΚΙΚΗ ΜΟΙΡΑ "
        "ΣΠΟΝΔΥΛΙΚΗΣ ΣΤΗΛΗΣ"
    ),
    "sternum": "STERNUM, BRUSTBEIN, ESTERNÓN, MOSTEK, 胸骨, TULANG DADA",
    "abdomen": "ABDOMEN, ABDOMEN_AP, KUB, BAUCH, ABDOMINAL, ADDOME, VIENTRE, BRZUCH, ЖИВОТ, 腹部, بطن",
    "hand": "HAND, HANDS, LHAND, HANDGELENK, MAIN, MANO, HÄNDE, РУКА, 手, 右手, 손",
    "knee": "KNEE, LKNEE, KNEE3V, KNIE, GENOU, RODILLA, GINOCCHIO, KOLANO, 膝关节, 무릎",
    "foot": "FOOT, LFOOT, FUSS, FUẞ, Füße, PIED, PIEDE, 足",
    "hip": "HIP, LHIP, HÜFTE, HUEFTE, HANCHE, CADERA, 股関節",
    "pelvis": "PELVIS, BECKEN, BASSIN, BACINO, MIEDNICA, 骨盤",
    "head": "SKULL, HEAD, SCHÄDEL, SCHAEDEL, CRÂNE, CRANEO, ЧЕРЕП, 頭部, PARANASAL SINUS",
    "shoulder": "SHOULDER, SCHULTER, ÉPAULE, HOMBRO, SPALLA, CLAVICLE, 肩",
    "breast": "BREAST, MAMMA, SEIN",
    "leg": "TIBIA, FEMUR, LEG, UNTERSCHENKEL",
}
UNKNOWN = "RIB, RIBS, HEART, MEDIASTINUM, WHOLEBODY, SMITH, XYZ, RÖ, 骨"
UNSTATED = ("", " ", "-", "***", "UNKNOWN", "Undefined", "NONE", "OTHER", "N/A", "0", "INCONNU", "不明")
ANNEX_L = {
    "chest": "CHEST, CHESTABDOMEN, CHESTABDPELVIS, LUNG, NECKCHEST, NECKCHESTABDOMEN, NECKCHESTABDPELV",
    None: (
        "AORTA, AXILLA, BRONCHUS, CORONARYARTERY, ESOPHAGUS, HEART, MEDIASTINUM, RIB, THYMUS, TRACHEA, WHOLEBODY"
    ),
    "another": (
        "ABDOMEN, ABDOMENPELVIS, ADRENAL, ANKLE, ARM, BACK, BLADDER, BRAIN, BREAST, BUTTOCK, "
        "CALCANEUS, CALF, CAROTID, CEREBELLUM, CERVIX, CHEEK, CIRCLEOFWILLIS, CLAVICLE, COCCYX, "
        "COLON, CORNEA, CSPINE, CTSPINE, DUODENUM, EAR, ELBOW, EXTREMITY, EYE, EYELID, FACE, FEMUR, "
        "FINGER, FOOT, GALLBLADDER, HAND, HEAD, HEADNECK, HIP, HUMERUS, IAC, ILEUM, ILIUM, JAW, "
        "JEJUNUM, KIDNEY, KNEE, LARYNX, LEG, LIVER, LSPINE, LSSPINE, MAXILLA, MOUTH, NECK, NOSE, "
        "ORBIT, OVARY, PANCREAS, PAROTID, PATELLA, PELVIS, PENIS, PHARYNX, PROSTATE, RADIUS, "
        "RADIUSULNA, RECTUM, SCALP, SCAPULA, SCLERA, SCROTUM, SHOULDER, SKULL, SPINE, SPLEEN, SSPINE, "
        "STERNUM, STOMACH, SUBMANDIBULAR, TESTIS, THIGH, THUMB, THYROID, TIBIA, TIBIAFIBULA, TLSPINE, "
        "TMJ, TOE, TONGUE, TSPINE, ULNA, URETER, URETHRA, UTERUS, VAGINA, VULVA, WRIST, ZYGOMA"
    ),
}
"""Defined terms of BodyPartExamined (PS3.16 Annex L), by what they are here."""


def words(text: str) -> list[str]:
    return text.split(", ")


@pytest.mark.parametrize("text", words(CHESTS))
def test_words_for_the_chest(text: str) -> None:
    assert part_named(text) == "chest"


@pytest.mark.parametrize(
    ("part", "text"), [(part, text) for part, texts in OTHERS.items() for text in words(texts)]
)
def test_words_for_another_part(part: str, text: str) -> None:
    assert part_named(text) == part


@pytest.mark.parametrize("text", words(UNKNOWN))
def test_words_that_name_neither(text: str) -> None:
    assert part_named(text) is None


@pytest.mark.parametrize("text", UNSTATED)
def test_words_that_state_nothing(text: str) -> None:
    assert part_named(text) == ""


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("A" * 16_000, None),
        ("A" * 12_000 + "THORAX", "chest"),
        ("HAND" * 4_000, "hand"),
        ("Q" * 8_000 + " CHEST " + "Q" * 8_000, "chest"),
    ],
    ids=["unknown", "chest", "hand", "words"],
)
def test_words_of_any_length(text: str, part: str | None) -> None:
    assert part_named(text) == part


@pytest.mark.parametrize("kind", ANNEX_L)
def test_the_terms_of_the_standard(kind: str | None) -> None:
    parts = {*ELSEWHERE, *BONES_OF_THE_CHEST}
    found = {text: part_named(text) for text in words(ANNEX_L[kind])}
    assert {("another" if part in parts else part) for part in found.values()} == {kind}


def test_the_codes_of_the_standard_whose_names_hold_the_chest_are_chests() -> None:
    for name in cid_concepts[4]["SCT"]:
        assert part_named(name) == "chest" or not any(word in name for word in ("Chest", "Lung", "Thorax"))


def test_every_word_of_the_tables_is_in_one_of_them() -> None:
    elsewhere = {*ELSEWHERE, *BONES_OF_THE_CHEST}
    for text in CHEST.values():
        assert {part_named(word.removeprefix("=")) for word in words(text)} == {"chest"}
    for text in (*ELSEWHERE.values(), *BONES_OF_THE_CHEST.values()):
        assert {part_named(word.removeprefix("=")) for word in words(text)} <= elsewhere


@pytest.mark.parametrize("text", ["BRUST", "TORACE", "POUMONS", "CXR", "THORAX_PA", "CHEST\\ABDOMEN"])
def test_a_chest_in_another_language_is_read_without_doubt(dicom: Dicom, text: str) -> None:
    header = read_header(with_bytes(dicom(), "BodyPartExamined", text.encode()))
    assert (header.width, header.doubts) == (64, ())


@pytest.mark.parametrize(
    ("character_set", "text", "encoding"),
    [
        ("ISO_IR 192", "胸部", "utf-8"),
        ("ISO_IR 192", "ГРУДНАЯ КЛЕТКА", "utf-8"),
        (None, "胸部", "utf-8"),
        ("GB18030", "胸部", "gb18030"),
        ("GBK", "胸片", "gbk"),
        ("\\ISO 2022 IR 87", "胸部", "iso2022_jp"),
        ("ISO_IR 144", "Грудная клетка", "iso8859_5"),
        ("ISO_IR 100", "TÓRAX", "latin_1"),
        ("ISO_IR 101", "PŁUCA", "iso8859_2"),
        ("ISO_IR 126", "ΘΩΡΑΚΑΣ", "iso8859_7"),
        ("ISO_IR 127", "صدر", "iso8859_6"),
        ("ISO_IR 138", "חזה", "iso8859_8"),
        ("ISO_IR 148", "GÖĞÜS", "iso8859_9"),
        ("ISO_IR 166", "ปอด", "tis-620"),
    ],
)
def test_a_chest_in_the_character_set_of_its_file_is_read(
    dicom: Dicom, character_set: str | None, text: str, encoding: str
) -> None:
    path = dicom(SpecificCharacterSet="ISO_IR 6")
    path = with_bytes(path, "SpecificCharacterSet", (character_set or "").encode())
    header = read_header(with_bytes(path, "BodyPartExamined", text.encode(encoding)))
    assert (header.width, header.doubts) == (64, ())


def test_a_chest_behind_an_escape_sequence_is_read(dicom: Dicom) -> None:
    path = with_bytes(dicom(SpecificCharacterSet="ISO_IR 6"), "SpecificCharacterSet", b"\\ISO 2022 IR 149")
    raw = b"\x1b$)C" + "흉부".encode("euc_kr")  # PS3.5 annex I
    assert read_header(with_bytes(path, "BodyPartExamined", raw)).doubts == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("KNIE", "KNIE"),
        ("knee", "KNEE"),
        ("ABDOMEN", "ABDOMEN"),
        ("手", "HAND"),
        ("Brustwirbelsäule", "SPINE"),
        ("HAND OF SECRETIVE SAM", "HAND"),
        ("膝关节", "KNEE"),
    ],
)
def test_another_part_is_refused_and_printed_as_a_code_or_in_english(dicom: Dicom, text: str, said: str) -> None:
    path = with_bytes(dicom(SpecificCharacterSet="ISO_IR 192"), "BodyPartExamined", text.encode())
    for read in (read_header, read_pixels):
        with pytest.raises(ImageError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path}: body part {said}; one grey CR or DX image of the chest was expected; leave it out"
        )


@pytest.mark.parametrize(
    ("raw", "shown"),
    [(b"RIBS", " (RIBS)"), (b"Secretive^Sam", ""), (b"\xff\xfe\x01", ""), (b"PART 7", " (PART 7)")],
)
def test_a_part_that_is_not_known_is_read_and_doubted(dicom: Dicom, raw: bytes, shown: str) -> None:
    path = with_bytes(dicom(), "BodyPartExamined", raw)
    assert read_header(path).doubts == (
        f"its file states a body part that is not known{shown}; it is read as a chest",
    )
    assert read_pixels(path).shape == (48, 64)
