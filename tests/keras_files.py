"""Files as Keras 3 writes them, of facts alone: a zip archive with the architecture in its config.json."""

import json
import zipfile
from pathlib import Path
from typing import Any

Layer = dict[str, Any]


def layer(
    kind: str,
    name: str,
    *reads: Any,
    module: str = "keras.layers",
    registered: str | None = None,
    **config: Any,
) -> Layer:
    """A layer, and what each of its calls reads: a name, or a list of them where it takes several tensors."""
    nodes = [{"args": [_tensors(read)], "kwargs": {}} for read in reads]
    return {
        "module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": registered,
        "name": name, "inbound_nodes": nodes,
    }  # fmt: skip


def _tensors(read: Any) -> Any:
    if isinstance(read, list):
        return [_tensors(one) for one in read]
    name, _, call = str(read).partition("#")
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [], "keras_history": [name, int(call or 0), 0]},
    }


def image(*shape: int | None) -> Layer:
    return layer("InputLayer", "image", batch_shape=[None, *(shape or (None, None, 3))])


def functional(layers: list[Layer], *outputs: str, name: str = "net") -> Layer:
    config = {
        "layers": layers,
        "input_layers": [layers[0]["name"], 0, 0],
        "output_layers": [[out, 0, 0] for out in outputs],
    }
    return layer("Functional", name, module="keras.src.models.functional", **config)


def sequential(layers: list[Layer], name: str = "net") -> Layer:
    return layer("Sequential", name, module="keras", layers=layers)


def written(path: Path, model: Layer) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(model))
    return path
