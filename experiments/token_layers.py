"""Encoders whose token states are of a layer below the last, to measure what each layer's are worth.

Vectors stay what they are. Layers are counted from 1; a graph's nodes tell theirs by the names that tracing
gave them::

    python -m experiments.token_layers 4 build/layer-4
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Annotated

import onnx
import typer

from lurcher.errors import FieldError
from lurcher.models.encoders.config import CONFIG_FILE, fingerprint, load_config
from lurcher.models.encoders.encoder import TOKEN_STATES

# The end of a BERT layer.
_LAST = re.compile(r"/layer\.(\d+)/output/LayerNorm/LayerNormalization_output_0$")


def at_layer(source: Path, layer: int, target: Path) -> None:
    """Write into the new folder ``target`` the encoder in ``source`` with ``layer``'s token states.

    What was trained for the last layer's is left out. Raises FieldError where there is no such layer.
    """
    config = load_config(source)
    graph = onnx.load(source / config.passage_graph, load_external_data=False)
    outputs = {name: int(found[1]) + 1 for node in graph.graph.node for name in node.output
               if (found := _LAST.search(name))}  # fmt: skip
    below = [name for name, number in outputs.items() if number == layer]
    if not below:
        reason = f"the graph names no layer {layer}, only {sorted(outputs.values())}"
        raise FieldError("layer", reason)
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and file.name != "projection.npz":
            shutil.copy(file, target)
    (states,) = (node for node in graph.graph.node if TOKEN_STATES in node.output)
    (last,) = states.input
    for node in graph.graph.node:  # pooling is of the last layer still
        node.input[:] = [last if name == TOKEN_STATES else name for name in node.input]
    states.input[:] = below
    onnx.save(graph, target / config.passage_graph)
    made = fingerprint(
        target, config.passage_graph, config.max_tokens, config.passage_prompt, config.similarity
    )
    # Students and readers are of another encoder now: none of them fits.
    changed = config.model_copy(
        update={"name": f"{config.name}-layer-{layer}", "fingerprint": made}
    )
    (target / CONFIG_FILE).write_text(json.dumps(changed.model_dump(), indent=2) + "\n")


def main(
    layer: Annotated[int, typer.Argument(help="Whose states are to be put out, from 1.")],
    out: Annotated[Path, typer.Argument(help="The new folder of the encoder.")],
    source: Annotated[Path, typer.Option(help="The encoder.")] = Path(
        "models/pretrained/all-MiniLM-L6-v2"
    ),
) -> None:
    """Write an encoder whose token states are of a layer below the last."""
    at_layer(source, layer, out)


if __name__ == "__main__":
    typer.run(main)
