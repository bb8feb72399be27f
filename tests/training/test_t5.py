"""A T5 taken apart computes what transformers computes with it whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import onnx
import torch
from onnx import numpy_helper

from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.bundle.state_store import StateStore, describe_states
from lurcher.errors import FieldError, ModelError, ModelNotFound, ParityError
from lurcher.index_builder.progress import Silent
from lurcher.index_builder.stages.encode_states import calibrate, encode_states
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder, Seq2SeqEncoder, load_ranker_config
from lurcher.training.ranker.t5 import check_parity, export_t5, load_original
from tests.bundle.opened_stores import state_store

Array = npt.NDArray[np.float32]

# Sums in another order, no more: seen are 4e-6, for states and scores both.
EXACT = 2e-5
PASSAGES = [
    "A lurcher is the offspring of a sighthound crossed with a working dog.",
    "Lithium batteries age with heat, with time and with every cycle of charge.",
    "",
    "Heat",
    "The wind turbine stands still; where does the water go? " * 9,
]
QUERY = "where does a lurcher go"


@pytest.fixture(scope="module")
def unigrams(transformers: Any) -> Any:
    """As T5's, of whole words and of single signs; it pads and cuts, as checkpoints' do."""
    words = re.findall(r"\w+", f"{' '.join(PASSAGES)} true false")
    pieces = dict.fromkeys([f"▁{word}" for word in words], -2.0)
    pieces |= dict.fromkeys(sorted(set("".join(words))), -9.0) | dict.fromkeys("▁.,;?", -9.0)
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    backend = Tokenizer(models.Unigram([*special, *pieces.items()], unk_id=2))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    backend.enable_padding(length=16)
    backend.enable_truncation(16)
    return transformers.T5TokenizerFast(tokenizer_object=backend, extra_ids=0, model_max_length=40)


Write = Callable[..., Path]


@pytest.fixture(scope="module")
def write_t5(transformers: Any, unigrams: Any) -> Write:
    """Writes a T5 of random weights into a folder."""

    def write(folder: Path, architecture: str = "t5", **changes: Any) -> Path:
        torch.manual_seed(0)
        sizes = {
            "vocab_size": 128, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2,
            "num_heads": 4, "decoder_start_token_id": 0,
        }  # fmt: skip
        config = transformers.AutoConfig.for_model(architecture, **{**sizes, **changes})
        network = transformers.AutoModelForSeq2SeqLM.from_config(config)
        # As they are drawn, attention is all but even and so is what the decoder says.
        for name, parameter in network.named_parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=2.0 if name == "shared.weight" else 0.3)
        network.save_pretrained(folder)
        unigrams.save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="module")
def checkpoint(write_t5: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("checkpoint") / "tiny-t5")


@pytest.fixture(scope="module")
def ranker(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported folder: likelihood, as of a doc2query model."""
    out = tmp_path_factory.mktemp("ranker") / "out"
    export_t5(checkpoint, out)
    return out


@pytest.fixture(scope="module")
def judge(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported folder: words after the query, as of an ED2LM model."""
    out = tmp_path_factory.mktemp("judge") / "out"
    export_t5(checkpoint, out, words=("true", "false"), score="both", likelihood="sum")
    return out


@pytest.fixture(scope="module")
def network(transformers: Any, checkpoint: Path) -> Any:
    return transformers.T5ForConditionalGeneration.from_pretrained(checkpoint).eval()


def inputs(tokenizer: Any, text: str) -> Any:
    return tokenizer(text, truncation=True, max_length=40, return_tensors="pt").input_ids


@torch.inference_mode()
def test_the_states_are_transformers(ranker: Path, network: Any, unigrams: Any) -> None:
    found = Seq2SeqEncoder.load(ranker, threads=2).encode(PASSAGES)
    assert [len(one) for one in found][2:] == [1, 2, 40]  # only the end; a word and the end; cut
    for text, states in zip(PASSAGES, found, strict=True):
        wanted = network.encoder(inputs(unigrams, text)).last_hidden_state[0].numpy()
        np.testing.assert_allclose(states, wanted, atol=EXACT)


@torch.inference_mode()
def test_the_likelihood_is_transformers_own_loss(ranker: Path, network: Any, unigrams: Any) -> None:
    states = Seq2SeqEncoder.load(ranker, threads=1).encode(PASSAGES)
    scores = Seq2SeqDecoder.load(ranker, threads=1).scores(QUERY, states)
    labels = inputs(unigrams, QUERY)
    for text, score in zip(PASSAGES, scores, strict=True):
        loss = network(input_ids=inputs(unigrams, text), labels=labels).loss
        assert score == pytest.approx(-loss.item(), abs=EXACT)
    assert np.ptp(scores) > 100 * EXACT  # or nothing would have been compared


@torch.inference_mode()
def test_words_count_after_the_query(judge: Path, network: Any, unigrams: Any) -> None:
    states = Seq2SeqEncoder.load(judge, threads=1).encode(PASSAGES)
    scores = Seq2SeqDecoder.load(judge, threads=1).scores(QUERY, states)
    true, false = (unigrams(word).input_ids[0] for word in ("true", "false"))
    query = inputs(unigrams, QUERY)[0, :-1]
    for text, score in zip(PASSAGES, scores, strict=True):
        labels = torch.cat([query, torch.tensor([true])])[None]
        logits = network(input_ids=inputs(unigrams, text), labels=labels).logits[0]
        likelihood = logits.log_softmax(-1)[torch.arange(len(query)), query].sum()
        wanted = likelihood + logits[-1, true] - logits[-1, false]
        assert score == pytest.approx(wanted.item(), abs=EXACT * len(query))


@torch.inference_mode()
def test_float16_states_in_the_store_score_as_transformers_scores_them(
    ranker: Path, network: Any, unigrams: Any, tmp_path: Path
) -> None:
    """Exactly, where transformers is given what the store has; closely, where it reads the text itself."""
    rows = np.array([4, 0, 2, 1, 3, 0])
    states = stored(ranker, tmp_path, "float16").gather(rows)
    scores = Seq2SeqDecoder.load(ranker, threads=1).scores(QUERY, states)
    labels = inputs(unigrams, QUERY)
    for row, kept, score in zip(rows, states, scores, strict=True):
        ids = inputs(unigrams, PASSAGES[row])
        whole = network.encoder(ids)
        # float16 keeps 11 bits of a number, so it is off by at most one in 2^11; the smallest by 2^-25.
        exact = whole.last_hidden_state[0].numpy()
        np.testing.assert_allclose(kept, exact, rtol=2**-11, atol=EXACT)
        given = type(whole)(last_hidden_state=torch.from_numpy(kept)[None])
        loss = network(encoder_outputs=given, labels=labels).loss
        assert score == pytest.approx(-loss.item(), abs=EXACT)
        # Seen are .0003 nats a token, of rounding alone.
        loss = network(input_ids=ids, labels=labels).loss
        assert score == pytest.approx(-loss.item(), abs=2**-10)


def test_bits_in_the_store_still_tell_passages_apart(ranker: Path, tmp_path: Path) -> None:
    decoder = Seq2SeqDecoder.load(ranker, threads=1)
    rows = np.arange(len(PASSAGES))
    store = stored(ranker, tmp_path, "1-bit")
    scores = decoder.scores(QUERY, store.gather(rows))
    exact = decoder.scores(QUERY, Seq2SeqEncoder.load(ranker, threads=1).encode(PASSAGES))
    assert store.entries.gather(rows)[0].shape[1] == 32 // 8
    assert np.corrcoef(scores, exact)[0, 1] > 0.5


def stored(ranker: Path, bundle: Path, form: Any) -> StateStore:
    """The store of ``PASSAGES``, filled by a build's own way."""
    segment = bundle / "segments/000000"
    segment.mkdir(parents=True)
    writer = PassageWriter(segment / "passages.db")
    writer.append([Passage(str(i), text) for i, text in enumerate(PASSAGES)], len(PASSAGES), 0)
    writer.finish()
    passages = Passages(segment / "passages.db")
    encoder = Seq2SeqEncoder.load(ranker, threads=1)
    codec = calibrate(passages, encoder, form, 0, Silent())
    if form == "1-bit":
        (bundle / "states").mkdir()
        codec.save(bundle / "states/signs.npz")
    encode_states(passages, encoder, codec, segment, Silent())
    passages.close()
    settings = describe_states(bundle, "segments/000000", codec, encoder.config)
    assert settings.truncated == 1
    return state_store(bundle, "segments/000000", settings, encoder.config, len(PASSAGES))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),  # as 1.1
        ("mt5", {"tie_word_embeddings": False}),
        ("t5", {"num_decoder_layers": 1}),
    ],
)
def test_every_kind_of_t5_passes_its_parity_check(
    write_t5: Write, tmp_path: Path, architecture: str, changes: dict[str, Any]
) -> None:
    folder = write_t5(tmp_path / "kind", architecture, **changes)
    prompts = {"passage_prompt": "heat: ", "query_prompt": "where "}
    config = export_t5(folder, tmp_path / "out", max_tokens=12, max_query_tokens=9, **prompts)
    assert (config.architecture, config.dimension, config.max_tokens) == (architecture, 32, 12)
    assert (config.passage_prompt, config.query_prompt) == ("heat: ", "where ")


def test_what_is_written_describes_itself(ranker: Path, judge: Path, unigrams: Any) -> None:
    config, judging = load_ranker_config(ranker), load_ranker_config(judge)
    assert (config.name, config.max_tokens, config.score) == ("tiny-t5", 40, "likelihood")
    assert (config.start, config.end, config.words) == (0, 1, None)
    assert judging.words is not None
    assert unigrams.convert_ids_to_tokens([judging.words.true, judging.words.false]) == [
        "▁true",
        "▁false",
    ]
    # What scores them decides nothing about the states; and the same checkpoint gives the same bytes.
    assert config.fingerprint == judging.fingerprint
    assert sorted(f.name for f in ranker.iterdir()) == [
        "config.json",
        "decoder.onnx",
        "encoder.onnx",
        "tokenizer.json",
    ]


def test_a_prompt_or_a_limit_makes_other_states(
    ranker: Path, checkpoint: Path, tmp_path: Path
) -> None:
    fingerprints = {load_ranker_config(ranker).fingerprint}
    for name, changes in {"a": {"passage_prompt": "p "}, "b": {"max_tokens": 39}}.items():
        fingerprints.add(export_t5(checkpoint, tmp_path / name, **changes).fingerprint)
    assert len(fingerprints) == 3


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_a_graph_that_computes_something_else_is_refused(
    ranker: Path, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    graph = onnx.load(ranker / name)
    weight = next(i for i in graph.graph.initializer if list(i.dims) == [32, 64])
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    for file in ranker.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    onnx.save(graph, tmp_path / name)
    what = "a state" if name == "encoder.onnx" else "the score"
    with pytest.raises(ParityError, match=rf"compute something else: {what} of .* is off by"):
        check_parity(load_original(checkpoint), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": ("true", "lurcher dog")}, r"words: 'lurcher dog' is \d+ of the model's tokens"),
        ({"words": ("true", "数")}, r"words: '数' is"),
        ({"score": "both"}, "score: both needs the words"),
        ({"max_tokens": 1}, "max_tokens: must be at least 2"),
        ({"max_query_tokens": 0}, "max_query_tokens: must be at least 2"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(
    checkpoint: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(FieldError, match=message):
        export_t5(checkpoint, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_t5_is_refused(
    write_t5: Write, write_checkpoint: Write, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="transformers cannot load it"):
        export_t5(write_checkpoint(tmp_path / "bert"), tmp_path / "out")
    with pytest.raises(ModelError, match="no decoder_start_token_id"):
        export_t5(write_t5(tmp_path / "startless", decoder_start_token_id=None), tmp_path / "out")
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}
    with pytest.raises(ModelError, match="is a bart, and only t5, mt5 can rank"):
        export_t5(write_t5(tmp_path / "bart", "bart", **sizes), tmp_path / "out")
    with pytest.raises(ModelNotFound, match="no model"):
        export_t5(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match=r"out: .* exists already"):
        export_t5(checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("passages", [[0], [0, 1, 4], [2], []])
def test_writes_what_transformers_generates_over_all_passages_at_once(
    transformers: Any, ranker: Path, checkpoint: Path, passages: list[int]
) -> None:
    encoder, decoder = Seq2SeqEncoder.load(ranker, 1), Seq2SeqDecoder.load(ranker, 1)
    states = encoder.encode([PASSAGES[i] for i in passages])
    said, sure = decoder.write(QUERY, states, 6)
    network = transformers.T5ForConditionalGeneration.from_pretrained(checkpoint).eval()
    memory = np.concatenate([*states, np.zeros((0 if states else 1, 32), np.float32)])
    prefix = decoder.reads(QUERY)
    mask = torch.full((1, len(memory)), int(bool(states)))
    ids, logarithms = torch.tensor([prefix]), []
    with torch.inference_mode():
        while ids.shape[1] < len(prefix) + 6 and (not logarithms or ids[0, -1] != 1):
            logits = network(
                encoder_outputs=(torch.from_numpy(memory)[None],), attention_mask=mask,
                decoder_input_ids=ids,
            ).logits[0, -1]  # fmt: skip
            ids = torch.cat([ids, logits.argmax().view(1, 1)], dim=1)
            logarithms.append(float(logits.log_softmax(-1).max()))
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    written = ids[0, len(prefix) :].tolist()
    assert said == tokenizer.decode(written, skip_special_tokens=True).strip()
    assert sure == pytest.approx(np.exp(np.mean(logarithms)), abs=1e-4)
