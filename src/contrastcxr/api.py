"""Every verb of the command as a plain function.

Each imports what it needs when it is called: PyTorch takes seconds, and whoever labels a report need not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from contrastcxr.errors import InputError, RequestError
from contrastcxr.files import CHECKPOINT_SUFFIX, default_cache, find_checkpoint, named_cache

if TYPE_CHECKING:
    from contrastcxr.catalogue import CatalogueEntry, PartDescription
    from contrastcxr.checkpoint import Checkpoint
    from contrastcxr.config import SystemConfig
    from contrastcxr.data.source import Failure, Source
    from contrastcxr.evaluation import Bootstrap, Evaluation
    from contrastcxr.evaluation.audit.run import Audit
    from contrastcxr.evaluation.compare import SystemComparison
    from contrastcxr.evaluation.joining import Joined
    from contrastcxr.form import Finding, Reading, Study
    from contrastcxr.metrics.learned.ask import Metric
    from contrastcxr.reading.reader import Reader
    from contrastcxr.reproduce import Places, Record, Row, Task
    from contrastcxr.reproduce.estimate import Expectation
    from contrastcxr.reproduce.pooled import Pooled
    from contrastcxr.reproduce.side_by_side import SideBySide
    from contrastcxr.store.preparing import Mover, PreparedSource
    from contrastcxr.training.report_clusters import ReportClusters
    from contrastcxr.training.report_vectors import Embedding
    from contrastcxr.training.run_folder import RunFolder

DEFAULT_MODEL = "phantom"
FORMATS = ("html", "json")


def read(
    paths: str | Path | Iterable[str | Path],
    *,
    model: str | Path = DEFAULT_MODEL,
    out: str | Path | None = None,
    formats: Sequence[str] = FORMATS,
    pool_roots: Sequence[str] = (),
    keep_ids: bool = False,
    window: str | int | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    seed: int = 0,
    allow_pickle: bool = False,
    overrides: Sequence[str] = (),
    on_failure: Callable[[Failure], None] | None = None,
) -> list[Reading]:
    """Read studies from files and folders, and write a page of each when `out` is given.

    What is passed over in a folder is counted by reason in a line of the log.

    Args:
        paths: DICOM, PNG or JPEG files, folders of them, a DICOMDIR or a manifest; one or several.
        model: a checkpoint file, a run folder or the name of a bundled model.
        out: folder for the files; None writes nothing.
        formats: of the files, `html` and `json`.
        pool_roots: where pictures of pool normals may be taken from, such as `nih14:/data/nih`.
        keep_ids: keep the identifiers of DICOM studies instead of hashes.
        window: number (from 1) or name of the window to show DICOM files with; None takes the first of each file.
        device: `cpu`, `cuda`, `mps` …
        dtype: `float32`, `bfloat16` or `float16`; None is float32.
        seed: of sampling.
        allow_pickle: read a training state (`last.ckpt`) too, and then its weights only.
        overrides: changes to the model's search, such as `generate.method=votes`, each.
        on_failure: called with each input that could not be read; without it the first one raises.

    Raises:
        RequestError: an unknown model, format or source.
        InputError: an input cannot be read and there is no `on_failure`.
        OutputError: a file cannot be written and there is no `on_failure`.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.reading.session import open_session

    session = open_session(
        model=model,
        out=out,
        formats=formats,
        pool_roots=[parse_data(root) for root in pool_roots],
        device=device,
        dtype=dtype,
        seed=seed,
        allow_pickle=allow_pickle,
        window=None if window is None else str(window),
        overrides=overrides,
    )
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    failures: list[Failure] = []

    def fail(failure: Failure) -> None:
        failures.append(failure if keep_ids else failure.without_path())
        (on_failure or _raise)(failure)

    done = list(session.read(session.find(several, keep_ids=keep_ids, on_failure=fail), on_failure=fail))
    session.finish(done, failures)
    return [each.reading for each in done]


def _raise(failure: Failure) -> None:
    raise InputError(failure.message)


def train(
    config: SystemConfig | str | Path,
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    cache: str | Path | None = None,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    progress: bool | None = None,
    quality: bool = True,
) -> RunFolder:
    """Train a system and leave a run folder.

    Args:
        config: a configuration or its file.
        overrides: changes to the file's values, `a.b=c` each.
        out: the run folder; None is `runs/NAME-seedS`.
        cache: folder of encoder features; None is `$CONTRASTCXR_CACHE`, or `.cache/contrastcxr`.
        resume: go on from the last whole epoch in `out`; so does a job that its launcher has started again.
        accelerator: `cpu`, `cuda`, or `auto`, which is `cuda` where PyTorch finds a GPU.
        devices: processes on each node, GPUs on CUDA; all share each batch.
        nodes: machines, on each of which torchrun or srun has started this.
        progress: a bar over the steps; None shows it on a terminal.
        quality: measure training pictures at the end, for the warnings of readings.

    Raises:
        ConfigError: a wrong value, or `out` holds another run.
        UnknownNameError: no such accelerator.
        IncompatibleError: parts that cannot work together, devices or a precision that are not there, a batch that
            they cannot share or hold, or nodes that do not meet.
        DatasetError: no studies, or studies without readings.
        MissingExtraError: the extra `train` is not installed.
    """
    from contrastcxr.config import SystemConfig, load_config

    settings = config if isinstance(config, SystemConfig) else load_config(config, overrides=overrides)
    from contrastcxr.training import run

    folder = Path("runs") / f"{settings.name}-seed{settings.train.seed}" if out is None else Path(out)
    return run(
        settings,
        out=folder,
        cache=cache,
        resume=resume,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        progress=progress,
        quality=quality,
    )


def evaluate(
    system: Reader | Sequence[Reading] | str | Path,
    *,
    data: str,
    split: str | None = None,
    protocol: str = "corrected",
    out: Path | None = None,
    reference: str | None = None,
    joined: Joined | None = None,
    attributes: str | None = None,
    allow_partial: bool = False,
    baselines: bool = True,
    with_meteor: bool = True,
    learned: Sequence[Metric] = (),
    retrieval: bool = False,
    limit: int | None = None,
    bootstrap: Bootstrap | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    allow_pickle: bool = False,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Score a model, or readings made elsewhere, on a split.

    Args:
        system: a `Reader`, the name or file of a model, or readings by study id.
        data: a data name, such as `phantom:standard` or `nih14-cv:/path?fold=0&report=plain`.
        split: of the data; None is that of its name, else `test`.
        protocol: `corrected` or `as-published`.
        out: folder for the results; nothing is written without one.
        reference: author whose readings are the references; None is each study's first.
        joined: findings of the system that are heard as one, such as `{"Consolidation": ("Consolidation",
            "Pneumonia", "Infiltration")}`; references stay as they are.
        attributes: a list of `vocab.attribute_words`, whose findings are heard as one on both sides.
        allow_partial: score the studies that have a reading although others have none.
        baselines: put the constant report, the nearest neighbour and the bounds beside the system.
        with_meteor: compute METEOR where Java is at hand.
        learned: metrics of `metrics.learned.ask`, from weights on this machine.
        retrieval: measure how pictures and reports find each other, of a system trained with `losses: wcl`.
        limit: the first so many studies only.
        bootstrap: replicates and seed of the intervals.
        cache: folder of encoder features.
        device: where a model named here runs.
        dtype: its floating-point type.
        allow_pickle: read a training state (`last.ckpt`) too, its weights only.
        overrides: changes to the search of a model named here, such as `generate.method=votes`, each.

    Raises:
        UnknownNameError: no such model, protocol, data, split or list.
        RequestError: readings of unknown studies or twice of one, studies without a reading, two splits, or
            findings that cannot be joined.
        DatasetError: the data departs from its layout.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.reading.session import open_reader

    named = parse_data(data)
    if isinstance(system, str | Path):
        seed = bootstrap.seed if bootstrap else 0
        file = find_checkpoint(system)
        system = open_reader(
            file,
            device=device,
            dtype=dtype,
            seed=seed,
            allow_pickle=allow_pickle,
            overrides=overrides,
            losses=retrieval,
        )
    from contrastcxr.evaluation import evaluate

    return evaluate(
        system,
        data=named,
        split=split,
        protocol=protocol,
        out=out,
        reference=reference,
        joined=joined,
        attributes=attributes,
        allow_partial=allow_partial,
        baselines=baselines,
        with_meteor=with_meteor,
        learned=learned,
        retrieval=retrieval,
        limit=limit,
        bootstrap=bootstrap,
        cache=cache,
    )


def compare(
    first: str | Path,
    second: str | Path,
    *,
    scores: Sequence[str] = (),
    allow_different: bool = False,
    seed: int = 0,
) -> SystemComparison:
    """Compare two evaluations of the same studies, score by score.

    Args:
        first: a folder that `evaluate` wrote.
        second: another.
        scores: names such as `bleu_4`; none takes those of the evaluation's table.
        allow_different: compare although the signatures differ, on the studies that both have.
        seed: of the paired bootstrap and of the randomisation test.

    Raises:
        RequestError: the signatures differ, or no study is shared.
        DatasetError: a folder holds no evaluation.
    """
    from contrastcxr.evaluation.compare import compare

    return compare(Path(first), Path(second), scores=scores, allow_different=allow_different, seed=seed)


@dataclass(frozen=True)
class Reproduction:
    """What a table has come to: published and measured side by side, and the rows that failed.

    Attributes:
        tables: the published tables, each beside what is recorded.
        recorded: the rows on record, for the seeds asked for.
        failed: name of a row and why it could not be run.
        folder: where the records are.
        task: the experiment on the data.
        pooled: all rows over their seeds, for each author that they are scored against; none of an experiment that
            is judged by words.
    """

    tables: tuple[SideBySide, ...]
    recorded: tuple[Record, ...]
    failed: tuple[tuple[str, str], ...]
    folder: Path
    task: Task
    pooled: tuple[tuple[Task, Pooled], ...] = ()


def reproduce_table(
    paper: str,
    table: str,
    *,
    data: str = "phantom:standard",
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    overrides: Sequence[str] = (),
    plan: Path | None = None,
    limit: int | None = None,
    run: bool = True,
    out: Path = Path("results"),
    runs: Path = Path("runs"),
    cache: Path | None = None,
    device: str | None = None,
) -> Reproduction:
    """Train and score the rows of a published table that are not recorded yet; keep `TABLE.md` among the records.

    Args:
        paper: `contrastive-attention`, `cia-net`, `wcl` or `cross-attention`.
        table: of the paper; `first` and `decoders` are our own.
        data: such as `phantom:standard` or `nih14-cv:/path`.
        rows: names of rows; none takes all.
        seeds: none runs those of the plan, and shows all that are recorded.
        overrides: `a.b=c`, a value changed in every row.
        plan: another file of rows.
        limit: a rehearsal on so many test studies and twins only.
        run: False runs nothing: what is recorded stands beside what is published.
        out: folder of the records.
        runs: folder of the run folders.
        cache: folder of encoder features, and of what is trained before the rows.
        device: `cpu` or `cuda`, on which rows train and read; None is `cuda` where PyTorch finds a GPU.

    Raises:
        RequestError: no such paper, table, row or data, or a device that is not there.
    """
    from contrastcxr.reproduce import Places
    from contrastcxr.reproduce.shown import write_tables
    from contrastcxr.reproduce.side_by_side import side_by_side

    task = _task(paper, table, data, plan=plan, cache=cache, overrides=overrides)
    chosen = task.rows(wanted=rows, seeds=seeds)
    places = Places(results=out, runs=runs, cache=task.cache, device=_device_of_rows(device) if run else "cpu")
    failed: list[tuple[Task, Row, str]] = []
    if run:  # imported here: what trains loads PyTorch
        from contrastcxr.reproduce.rows import Limits, run_rows

        limits = Limits(test=limit, twins=limit)
        failed = [(p, *why) for p in task.parts for why in run_rows(p, chosen, places=places, limits=limits)]
    done = [record for part in task.parts for record in places.recorded(part, seeds)]
    compared = [] if task.averages else task.parts
    tables = [found for part in compared for found in side_by_side(part, places, seeds=seeds)]
    pooled = _rows_alone(task, places, seeds)
    if (tables or pooled) and done:
        from contrastcxr.reproduce.row_page import rows_page

        pages = [rows_page(*found) for found in pooled]
        write_tables(tables, places.folder(task) / f"{table}.md", first=pages)
    reasons = tuple((row.stem if p == task else f"{p.title}: {row.stem}", why) for p, row, why in failed)
    return Reproduction(tuple(tables), tuple(done), reasons, places.folder(task), task, tuple(pooled))


def _device_of_rows(device: str | None) -> str:
    from contrastcxr.reading.session import check_device

    if device is None:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise RequestError(f"--device {device}: rows train and read on cpu or cuda; choose one of these")
    check_device(device)
    return device


def _rows_alone(task: Task, places: Places, seeds: Sequence[int]) -> list[tuple[Task, Pooled]]:
    """Return the recorded rows over their seeds, author by author; nothing of rows that are judged by words."""
    if task.plan.judged_by == "words":
        return []
    from contrastcxr.reproduce.pooled import pool

    found = [
        (
            part,
            pool(
                places.paths(part, seeds),
                judging=task.plan.judging,
                compared=task.compared_names,
                crossed=task.crossed_names,
                folds=bool(task.of_data.folds),
            ),
        )
        for part in task.parts
    ]
    return [(part, pooled) for part, pooled in found if pooled is not None]


def estimate_table(
    paper: str,
    table: str,
    *,
    data: str = "phantom:standard",
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    overrides: Sequence[str] = (),
    plan: Path | None = None,
    out: Path = Path("results"),
    cache: Path | None = None,
) -> tuple[list[Expectation], int]:
    """Return how long each row of a table is expected to take, and on how many records that rests.

    Runs that rows start from and the cache lacks stand before the rows. The arguments are those of
    `reproduce_table`; nothing is run.

    Raises:
        RequestError: no such paper, table, row or data.
    """
    from contrastcxr.reproduce import Places
    from contrastcxr.reproduce.estimate import expect, expect_before

    task = _task(paper, table, data, plan=plan, overrides=overrides, cache=cache)
    places, wanted = Places(results=out, runs=Path("runs"), cache=task.cache), task.rows(wanted=rows, seeds=seeds)
    trained = task.trains
    done = [places.recorded(part, seeds) for part in task.parts]
    left = [each for of in done for each in expect(wanted, of, trained=trained)]
    names = {each.name for each in left}
    return [*expect_before(task, [row for row in wanted if row.stem in names]), *left], sum(map(len, done))


def _task(
    paper: str, table: str, data: str, *, plan: Path | None, overrides: Sequence[str], cache: Path | None = None
) -> Task:
    from contrastcxr.data.sources import parse_data
    from contrastcxr.reproduce import find_plan, task_of

    return task_of(*find_plan(paper, table, path=plan), parse_data(data), cache=cache, overrides=overrides)


def label(text: str) -> tuple[Finding, ...]:
    """Return the 14 CheXpert findings of a report text, with the words that said so.

    A span counts characters of `text` as it was given.
    """
    from contrastcxr.text.labeler import label

    return label(text)


def list_data(folders: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """Return what every known source is, its splits, options, parameters and terms, as plain values.

    Args:
        folders: say what these can be opened as instead; each gives its data names. What is no folder is left out.
    """
    from contrastcxr.data.recognise import recognised
    from contrastcxr.data.sources import describe_sources

    if not folders:
        return describe_sources()
    there = [Path(folder) for folder in folders if Path(folder).is_dir()]
    return [{"folder": str(folder), "data": list(recognised(folder))} for folder in dict.fromkeys(there)]


def open_source(data: str, *, cache: Path | None = None) -> Source:
    """Return the source that a data name means, without a split chosen.

    Args:
        data: its name, such as `nih14:/data/nih`.
        cache: folder where studies of phantoms, minutes to draw, are kept; None is `$CONTRASTCXR_CACHE`, if set.

    Raises:
        UnknownNameError: a name, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.store.studies import open_source

    return open_source(parse_data(data), cache=cache or named_cache())


def load_studies(data: str, *, cache: Path | None = None) -> list[Study]:
    """Return the studies that a data name means: those of its split, or all of the source.

    Args:
        data: its name, such as `phantom:standard/test?limit=8`.
        cache: folder where studies of phantoms, minutes to draw, are kept; None is `$CONTRASTCXR_CACHE`, if set.

    Raises:
        UnknownNameError: a name, split, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.store.studies import load_studies

    return load_studies(parse_data(data), cache=cache or named_cache())


def check_data(data: str, *, listed: int | None = 10, attributes: str | None = None) -> dict[str, Any]:
    """Return what a source holds and lacks: studies, patients, splits, views, authors, missing images.

    Args:
        data: the source, such as `nih14:/data/nih`.
        listed: so many of the missing images are named; None names all.
        attributes: a list of `vocab.attribute_words` to count in the reports; None counts none.

    Raises:
        UnknownNameError: no such source or list.
        DatasetError: the data is not there or departs from its layout, or has no report to count in.
    """
    from contrastcxr.data.attribute_counts import count_attributes
    from contrastcxr.data.check import check_source

    source = open_source(data)
    counted = {} if attributes is None else {"attributes": count_attributes(source, attributes)}
    return {**check_source(source, listed=listed), **counted}


def cluster_reports(
    data: str,
    *,
    k: int,
    embedding: Embedding = "tfidf",
    weights: str | Path | None = None,
    sections: Sequence[str] = ("findings",),
    author: str | None = None,
    seed: int = 0,
    allow_pickle: bool = False,
) -> ReportClusters:
    """Return clusters of the training reports of a source, the weak labels of `losses: wcl`, and what they hold.

    Args:
        data: the source; without a split it is that of training.
        k: clusters.
        embedding: `tfidf`, `sentence` or `chexbert`.
        weights: folder of a sentence encoder or of CheXbert.
        sections: of the reports that are compared, those of `text.sections`.
        author: whose reports they are; None takes each study's first.
        seed: of K-Means.
        allow_pickle: read CheXbert's weights from a pickle, weights only.

    Raises:
        RequestError: the text does not name a source.
        DatasetError: the data departs from its layout, or has fewer reports that differ than clusters.
        MissingExtraError: a package is not installed.
        CheckpointError: no weights, or others than expected.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.training.clusters import cluster_source

    return cluster_source(
        parse_data(data),
        k=k,
        embedding=embedding,
        weights=weights,
        sections=sections,
        author=author,
        seed=seed,
        allow_pickle=allow_pickle,
    )


def audit_data(data: str, *, reference: str | None = None, seed: int = 0) -> Audit:
    """Look for leaks, copies and labels that are told without a lesion.

    Args:
        data: a source, with all its splits.
        reference: whose labels are looked at; None is the author who labels most studies.
        seed: of folds and intervals.

    Raises:
        UnknownNameError: no such source or author.
        DatasetError: the data departs from its layout, or is empty.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.evaluation.audit import audit

    return audit(parse_data(data), author=reference, seed=seed, cache=named_cache())


def prepare_data(
    data: str,
    *,
    cache: Path | None = None,
    size: int = 256,
    pictures: bool = True,
    workers: int = 0,
    align: str | None = None,
    device: str = "cpu",
) -> PreparedSource:
    """Write the tables of a source, and its pictures resized once, so that training streams them.

    Args:
        data: the source, with a split or without.
        cache: the cache folder.
        size: side of the pictures in pixels.
        pictures: False writes the tables alone.
        workers: processes that read pictures; 0 reads them here.
        align: run or checkpoint of an aligner; copies in the pose of its canonical chest are kept, and no others.
        device: where that aligner moves pictures.

    Raises:
        RequestError: the text does not name a source, the system of `align` aligns nothing, or the device is not
            there or would be shared by `workers`.
        CheckpointError: `align` cannot be read.
        DatasetError: the data is not there or departs from its layout.
        OutputError: the disk cannot hold the pictures, or a file cannot be written.
    """
    from contrastcxr.data.sources import parse_data
    from contrastcxr.store.preparing import prepare_source

    if device != "cpu":
        _check_mover(device, workers, align)
    mover = None if align is None else _mover(align, device)
    return prepare_source(
        parse_data(data), root=cache or default_cache(), side=size, pictures=pictures, workers=workers, mover=mover
    )


def _check_mover(device: str, workers: int, align: str | None) -> None:
    from contrastcxr.reading.session import check_device

    check_device(device)
    if align is not None and workers:
        raise RequestError(
            f"--device {device} with --workers {workers}: pictures are moved by the process that reads them, and "
            "one alone has the device; leave one of the two out"
        )


def _mover(run: str, device: str) -> Mover:
    from contrastcxr.checkpoint import load_checkpoint
    from contrastcxr.features.aligned_copies import AlignedCopies

    aligner = load_checkpoint(run).aligner()
    if aligner is None:
        raise RequestError(f"--align {run}: its system aligns nothing; give the run of an aligner")
    return AlignedCopies(aligner.eval().to(device))


def write_manifest(data: str, out: str | Path) -> tuple[int, tuple[str, ...]]:
    """Write the studies of a source as a manifest; return how many, and the images that are missing.

    Args:
        data: the source, and its split if one is meant.
        out: the manifest, `.jsonl`, `.csv` or `.parquet`.
    """
    from contrastcxr.data.readers.manifest_writing import write_manifest
    from contrastcxr.data.sources import parse_data
    from contrastcxr.store.studies import stream_studies

    missing: list[str] = []
    written = write_manifest(
        stream_studies(parse_data(data), cache=named_cache(), on_missing=missing.append), Path(out)
    )
    return written, tuple(missing)


def draw_phantoms(
    folder: str | Path,
    *,
    studies: int = 3,
    level: str = "standard",
    format: Literal["png", "dicom"] = "png",
    seed: int = 0,
) -> list[Path]:
    """Write synthetic studies with known lesions, boxes and reports; return their files.

    Args:
        folder: where they go.
        studies: how many.
        level: `smoke`, `easy`, `standard` or `hard`.
        format: of the pictures.
        seed: they follow from it.
    """
    from contrastcxr.phantom import write_studies

    return write_studies(Path(folder), studies=studies, level=level, format=format, seed=seed)


def list_models() -> list[CatalogueEntry]:
    """Return every encoder, contrast module, pool, head, loss and checkpoint, with its paper and licence."""
    from contrastcxr.catalogue import known

    return known()


def describe_part(name: str) -> PartDescription:
    """Return the paper, licence and options of one part of a system.

    Args:
        name: of a decoder, localizer, encoder, …, the other name it goes by, or a part of a configuration
            (`contrast`, `train.optimizer`); `system` is what stands in no part.
    """
    from contrastcxr.catalogue import describe

    return describe(name)


def import_r2gen(
    checkpoint: str | Path,
    *,
    vocabulary: str | Path,
    out: str | Path | None = None,
    dataset: Literal["iu_xray", "mimic_cxr"] | None = None,
    heads: int = 8,
    memory_heads: int = 8,
    min_count: int | None = None,
) -> tuple[Path, Checkpoint]:
    """Turn a checkpoint of R2Gen or WCL into one of ours; return its file and what it holds.

    Args:
        checkpoint: their `model_best.pth`; its weights only are read.
        vocabulary: `token2idx` of their tokenizer as JSON, or their `annotation.json`.
        out: the file to write; None is `checkpoint` with our suffix.
        dataset: two views a study, or one; None is what the annotation says, else `iu_xray`.
        heads: `num_heads` of their run, which no shape shows.
        memory_heads: `rm_num_heads` of their run.
        min_count: `threshold` of their run, for an annotation alone.

    Raises:
        RequestError: `out` is there already, or is the checkpoint itself.
        CheckpointError: the file is no checkpoint of these projects.
    """
    path = Path(checkpoint).with_suffix(CHECKPOINT_SUFFIX) if out is None else Path(out)
    if path.resolve() == Path(checkpoint).resolve():
        raise RequestError(f"{path} is the checkpoint itself; give --out another file")
    if path.exists():
        raise RequestError(f"{path} is there already; give --out another file")
    from contrastcxr.checkpoint import save_checkpoint
    from contrastcxr.checkpoint.r2gen import import_r2gen

    made = import_r2gen(
        Path(checkpoint),
        vocabulary=Path(vocabulary),
        dataset=dataset,
        heads=heads,
        memory_heads=memory_heads,
        min_count=min_count,
    )
    save_checkpoint(path, made, dtype="float32")
    return path, made


def doctor() -> dict[str, Any]:
    """Return what this machine has: devices, codecs, extras, weights, Java, caches, licences, disk."""
    from contrastcxr.machine import examine

    return examine()
