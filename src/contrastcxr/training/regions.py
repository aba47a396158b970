"""The detector of a run whose patches are regions: the localizer of the trained run that it names."""

from __future__ import annotations

from contrastcxr.checkpoint import Checkpoint, SourceNote, load_checkpoint, read_metadata
from contrastcxr.checkpoint.system import tensors_of
from contrastcxr.config import SystemConfig
from contrastcxr.errors import CheckpointError, IncompatibleError, RequestError, listed
from contrastcxr.models.encoders import Encoder

ENCODER_KEY, DETECTOR_KEY = "encoder.", "localizer.detector."


def with_trained_regions(config: SystemConfig) -> SystemConfig:
    """Return a configuration whose encoder says what the trained detector that it names is.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        IncompatibleError: none is named, it detects nothing, or an option is given that it contradicts.
    """
    regions = config.encoder.regions
    if regions is None:
        return config
    if regions.weights is None:
        raise IncompatibleError(
            "encoder.regions without encoder.regions.weights: its patches are the regions of a trained detector; "
            "train one, as with configs/cpu/phantom-retinanet.yaml, and give its run"
        )
    try:
        trained = read_metadata(regions.weights).config
    except (CheckpointError, RequestError) as error:
        raise CheckpointError(f"encoder.regions.weights: {error}") from None
    found = None if trained.localizer is None else trained.localizer.regions
    if found is None:
        raise IncompatibleError(
            f"encoder.regions.weights {regions.weights}: its system detects no boxes; give the run of a localizer "
            "that does"
        )
    words = config.needs.attributes
    if words is not None and words != found.attributes:
        raise IncompatibleError(
            f"localizer.attributes {words} with encoder.regions.weights {regions.weights}, whose detector boxes "
            f"findings of {found.attributes}; give both the same list"
        )
    said = found.model_dump(exclude={"weights"})
    encoder = {"name": trained.encoder.name, "stage": trained.encoder.stage}
    other = [
        *(
            f"regions.{name}"
            for name in regions.model_fields_set & said.keys()
            if getattr(regions, name) != said[name]
        ),
        *(
            name
            for name in config.encoder.model_fields_set & encoder.keys()
            if getattr(config.encoder, name) != encoder[name]
        ),
    ]
    if config.image.size != trained.image.size:
        raise IncompatibleError(
            f"image.size {config.image.size} with encoder.regions.weights {regions.weights}, whose detector sees "
            f"pictures of {trained.image.size}; set image.size: {trained.image.size}"
        )
    if other:
        raise IncompatibleError(
            f"{listed(f'encoder.{name}' for name in sorted(other))} with encoder.regions.weights "
            f"{regions.weights}, whose detector has other values, those it was trained with; take them away"
        )
    whole = regions.model_copy(update=said)
    return config.model_copy(
        update={
            "encoder": config.encoder.model_copy(update={**encoder, "weights": "checkpoint", "regions": whole})
        }
    )


def load_regions(config: SystemConfig, encoder: Encoder) -> tuple[SourceNote, ...]:
    """Give an encoder of regions the weights of the trained run that its configuration names.

    Returns what the run was trained on; nothing where the patches are a grid.

    Raises:
        CheckpointError: the checkpoint cannot be read, or its weights are not those of its configuration.
    """
    regions = config.encoder.regions
    if regions is None or regions.weights is None:
        return ()
    checkpoint: Checkpoint = load_checkpoint(regions.weights)
    system = checkpoint.build()
    assert system.encoder is not None  # a system in a file has one
    assert system.localizer is not None  # `with_trained_regions` has refused one that detects nothing
    state = system.state_dict()
    held = tensors_of(state, ENCODER_KEY)
    held |= {f"detector.{name}": value for name, value in tensors_of(state, DETECTOR_KEY).items()}
    encoder.load_state_dict(held)
    encoder.weights_note = f"{system.encoder.weights_note}; regions of {checkpoint.config.name}"
    return checkpoint.sources
