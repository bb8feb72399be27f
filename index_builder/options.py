"""The options of a build; a value that cannot be is refused when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lurcher.bundle.state_codecs import Form
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.engines import EngineName
from lurcher.models.lexical.languages import Language
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.presets import PRESETS, PresetChoice
from lurcher.models.tokens.coder import check_bits

# From the curve in docs/tokens: together 8 bytes for each token of a passage, positions and index included.
BITS, KEEP_RATIO = 160, 0.36
# Of exact search's first hundred.
RECALL = 0.98

# What a build without vectors has no use for: each option, its value where it is not given, and its flag.
_OF_VECTORS: tuple[tuple[str, object, str], ...] = (
    ("index", "auto", "--index"),
    ("recall", RECALL, "--recall"),
    ("student", None, "--profile"),
    ("preset", "auto", "--preset"),
    ("tokens", None, "--token-bits or --keep-ratio"),
    ("ranker", None, "--ranker"),
    ("states", None, "--states"),
    ("answers", False, "--answers"),
    ("judged", None, "--queries"),
)


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """The options of the token store; ``bits`` None: as many as suit the encoder."""

    bits: int | None = None
    keep_ratio: float = KEEP_RATIO

    def __post_init__(self) -> None:
        if not 0 < self.keep_ratio <= 1:
            raise FieldError("keep_ratio", f"must be above 0 and at most 1, not {self.keep_ratio}")

    def bits_for(self, dimension: int) -> int:
        """Bits a code for an encoder of ``dimension`` dimensions. Raises FieldError if it has too few."""
        bits = min(BITS, dimension // 8 * 8) if self.bits is None else self.bits
        check_bits(bits, dimension)
        return bits


@dataclass(frozen=True, slots=True)
class LexicalOptions:
    """The options of the lexical index; ``language`` None: the corpus's, if it is clear."""

    language: Language | None = None


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of a build.

    encoder      folder of the encoder; without vectors, of its tokeniser, by which documents are split
    vectors      encode the passages; without, words alone find them, and ``tokens`` have to be None
    index        ``auto`` (by size), or a FAISS factory string
    recall       share of exact search's first hundred that the index must find
    window, overlap   of passages, in tokens, where a document is split; None: what the encoder reads, and
                      a share of that (``split.OVERLAP``)
    url_prefix   what comes before a document's id in a link to it; "" for no links
    reading      how the corpus is read where it does not tell itself
    student      folder of a student that reads queries instead of the encoder
    lexical      options of the lexical index; None leaves it out
    tokens       options of the token store; None leaves it out, and all ranking by tokens with it
    ranker       folder of a decoder or a T5; None: the encoder's own decoder, if it fits
    states       how a T5's states are stored; None: as float16
    answers      add a reader and the reading store
    reader       folder of the reader; None: the encoder's own
    answer_bits  bits a code of the reading store; None: as many as the reader was trained on
    judged       known queries to add, as ``neighbours`` says
    preset       what scores count beside each other; ``auto``: by how much of the corpus is code
    engine       what runs the encoder; ``auto``: what is faster for the passages

    Raises FieldError for a value out of range and for options that contradict each other.
    """

    encoder: Path = DEFAULT_ENCODER
    index: str = "auto"
    recall: float = RECALL
    skip_bad_lines: bool = False
    window: int | None = None
    overlap: int | None = None
    seed: int = 0
    student: Path | None = None
    tokens: TokenOptions | None = field(default_factory=TokenOptions)
    ranker: Path | None = None
    states: Form | None = None
    answers: bool = False
    reader: Path | None = None
    answer_bits: int | None = None
    judged: Judged | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    neighbours: NeighbourOptions = field(default_factory=NeighbourOptions)
    url_prefix: str = ""
    lexical: LexicalOptions | None = field(default_factory=LexicalOptions)
    vectors: bool = True
    preset: PresetChoice = "auto"
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        if not self.vectors:
            self._check_without_vectors()
        if not 0 < self.recall <= 1:
            raise FieldError("recall", f"must be above 0 and at most 1, not {self.recall}")
        if self.preset not in ("auto", *PRESETS):
            known = ", ".join(("auto", *PRESETS))
            raise FieldError("preset", f"must be one of {known}, not {self.preset!r}")
        for name in ("reader", "answer_bits"):
            if getattr(self, name) is not None and not self.answers:
                raise FieldError(name, "is for answers, which are not asked for")
        if self.answers and self.tokens is None:
            raise FieldError("answers", "need the tokens, which are to be left out")

    def _check_without_vectors(self) -> None:
        """Raise FieldError for an option that needs the vectors, and where nothing is left to search by."""
        if self.lexical is None:
            reason = "leaves no index to search by, as --no-lexical leaves out the other"
            raise FieldError("no_vectors", reason)
        for name, absent, flag in _OF_VECTORS:
            if getattr(self, name) != absent:
                raise FieldError("no_vectors", f"leaves nothing to use {flag} for")
