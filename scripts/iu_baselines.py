"""Scores of reports that nobody looked at a picture for, on the IU X-ray test split, beside the published rows.

python scripts/iu_baselines.py /path/to/iu_xray --page docs/iu-baselines.md

The folder holds R2Gen's annotation.json and the tables of the Kaggle copy; pictures are not needed.  Everything is
chosen on training and validation reports.  Readings are written as JSON lines and scored by the same code as
`contrastcxr evaluate --readings`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import Bootstrap, Evaluation, References, evaluate, load_references
from contrastcxr.form import Author, Reading, Report
from contrastcxr.metrics.baselines import nearest_neighbours
from contrastcxr.metrics.clinical import status_codes
from contrastcxr.metrics.constants import CONSTANTS
from contrastcxr.published import published_table
from contrastcxr.text.published_words import published_words
from contrastcxr.text.tokenizer import metric_tokens

PROTOCOLS = ("as-published", "corrected")
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l")
CLINICAL = ("wcl/f1", "r2gen/f1", "chexbert/f1", "missed_abnormality")
MARKS = ("<!-- table -->", "<!-- /table -->")
RESULTS = Path("results/iu-baselines.json")


def constants(train: References, validation: References) -> dict[str, str]:
    """Each constant report, put together in published words so that both protocols score the same text."""
    known, held_out = (
        [" ".join(published_words(a.words)) for a in part.answers()] for part in (train, validation)
    )
    return {name: choose(known, held_out) for name, choose in CONSTANTS.items()}


def by_indication(train: References, test: References, indications: Mapping[str, str]) -> list[str]:
    """For each test study the training report whose indication is nearest: cosine of tf-idf words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    asked, known = ([indications.get(s, "") for s in part.ids] for part in (test, train))
    fitted = TfidfVectorizer(tokenizer=metric_tokens, token_pattern=None, lowercase=False).fit(known)
    likeness = (fitted.transform(asked) @ fitted.transform(known).T).toarray()
    return [train.answers()[int(row.argmax())].words for row in likeness]


def by_labels(train: References, test: References) -> list[str]:
    """For each test study the training report with the nearest labels: an oracle, which sees the reference."""
    asked, known = (
        status_codes([a.findings or () for a in part.answers()], part.names).astype(np.float64)
        for part in (test, train)
    )
    said = train.answers()
    return [said[int(i)].words for i in nearest_neighbours(_signed(asked), _signed(known))]


def _signed(codes: np.ndarray) -> np.ndarray:
    """Absent −1, unmentioned 0, uncertain 1, present 2; the first of equals is taken."""
    return np.choose(codes.astype(int), [0.0, -1.0, 1.0, 2.0]) + 1e-6


def indications_of(root: Path) -> dict[str, str]:
    """Indication by study id of the annotation, from the Kaggle table, whose reports have the same uid."""
    import csv

    with (root / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        by_uid = {row["uid"]: row.get("indication", "") for row in csv.DictReader(file)}
    annotation = json.loads((root / "annotation.json").read_text(encoding="utf-8"))
    ids = [sample["id"] for part in annotation.values() for sample in part]
    return {study: by_uid.get(study.split("_")[0].removeprefix("CXR"), "") for study in ids}


def readings(test: References, texts: Sequence[str], name: str) -> list[Reading]:
    author = Author(kind="rule", name=name)
    return [
        Reading(study_id=study, author=author, report=Report(findings=text))
        for study, text in zip(test.ids, texts, strict=True)
    ]


def score(data: str, given: list[Reading], protocol: str, replicates: int) -> Evaluation:
    return evaluate(
        given,
        data=parse_data(data),
        protocol=protocol,
        baselines=False,
        bootstrap=Bootstrap(replicates=replicates),
    )


def table(found: Mapping[str, Mapping[str, Evaluation]]) -> list[str]:
    head = ["system", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L"]
    lines: list[str] = []
    for protocol in PROTOCOLS:
        lines += [f"**Protocol `{protocol}`**", "", _line(head), _line(["---", *["---:"] * 6])]
        lines += [_line([name, *_cells(scores[protocol], METRICS)]) for name, scores in found.items()]
        if protocol == "as-published":
            lines += published()
        lines.append("")
    lines += ["**Clinical efficacy** (labels by our labeler; full references)", ""]
    names = ["system", "F1, `wcl`", "F1, `r2gen`", "F1, `chexbert`", "abnormal studies missed"]
    lines += [_line(names), _line(["---", *["---:"] * 4])]
    lines += [_line([name, *_cells(scores["corrected"], CLINICAL)]) for name, scores in found.items()]
    return [*lines, ""]


def published() -> list[str]:
    rows = [
        ("table1", {"system": s, "contrast": c})
        for s in ("nic", "hlstm", "multi_attention")
        for c in ("none", "normal")
    ]
    rows += [("table2", {"method": m}) for m in ("Transformer", "R2Gen")]
    lines = []
    for name, keys in rows:
        row = published_table("contrastive-attention", name).find(data="iu_xray", **keys)
        assert row is not None
        label = f"{row.keys['method']}{' w/ CA' if row.keys['contrast'] == 'normal' else ''}"
        cells = [row.cells[metric.replace("_", "") if metric.startswith("bleu") else metric] for metric in METRICS]
        lines.append(_line([f"*published:* {label}", *(cell.replace("0.", ".", 1) for cell in cells)]))
    return lines


def _cells(found: Evaluation, names: Sequence[str]) -> list[str]:
    return [found.scores[name].text() if name in found.scores else "–" for name in names]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--page", type=Path, help="write the table between the marks of this page")
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    data = f"iu_xray:{arguments.root},layout=r2gen?images=any"
    train, validation, test = (
        load_references(parse_data(data), split) for split in ("train", "validation", "test")
    )
    texts = {f"constant, {name}": [text] * len(test.ids) for name, text in constants(train, validation).items()}
    texts["neighbour by indication"] = by_indication(train, test, indications_of(arguments.root))
    texts["neighbour by labels (oracle)"] = by_labels(train, test)
    found: dict[str, dict[str, Evaluation]] = {}
    for name, said in texts.items():
        given = readings(test, said, name)
        found[name] = {p: score(data, given, p, arguments.replicates) for p in PROTOCOLS}
        print(name, _cells(found[name]["as-published"], METRICS), flush=True)
    kept = {
        name: {p: e.to_dict()["systems"]["system"]["scores"] for p, e in by.items()} for name, by in found.items()
    }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    lines = table(found)
    if arguments.page is not None:
        text = arguments.page.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        arguments.page.write_text(
            f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"{MARKS[1]}{after}", encoding="utf-8"
        )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
