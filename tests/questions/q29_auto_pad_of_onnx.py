"""SAME_UPPER puts an odd row of padding behind the map, SAME_LOWER in front of it."""

from pathlib import Path

from tests.questions.question import Question


def written(rule: str, path: Path) -> None:
    """Write nine convolutions, of which every third has stride 2, with an auto_pad."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    nodes, weights, source = [], [], "image"
    for step in range(9):
        strides, name = [1 + (step % 3 == 2)] * 2, f"conv{step}"
        taps = np.arange(1.0, 10.0, dtype=np.float32).reshape(1, 1, 3, 3)
        weights.append(numpy_helper.from_array(taps, f"{name}.weight"))
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}.weight"],
                [name],
                name=name,
                strides=strides,
                auto_pad=rule,
            )
        )
        source = name
    sides = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, None])
        for name in ("image", source)
    ]
    graph = helper.make_graph(nodes, "net", sides[:1], sides[1:], weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def tap_that_reads_the_first_row(folder: Path) -> list[str]:
    """Run both files up to the first strided layer, on an image of one bright pixel in its corner."""
    import numpy as np
    import onnx
    import onnxruntime

    pads = []
    for name in ("upper.onnx", "lower.onnx"):
        model = onnx.load(folder / name)
        # The strided layer alone: its taps are 1 to 9, and its first unit shows that at the corner.
        model.graph.node[2].input[0] = "image"
        model.graph.output[0].name = "conv2"
        del model.graph.node[3:], model.graph.node[:2]
        del model.graph.initializer[3:], model.graph.initializer[:2]
        session = onnxruntime.InferenceSession(model.SerializeToString())
        image = np.zeros((1, 1, 64, 64), np.float32)
        image[..., 0, 0] = 1
        before = (int(session.run(None, {"image": image})[0][0, 0, 0, 0]) - 1) // 3
        pads.append(f"{before}+{1 - before}")
    return [" ".join(["padding", *pads])]


QUESTION = Question(
    number=29,
    group="Ports and exports",
    asked="Which side do SAME_UPPER and SAME_LOWER pad, and where do files with one and the other differ?",
    threads=(
        "microsoft/onnxruntime#9370",
        "microsoft/onnxruntime#10083",
        "microsoft/onnxruntime#10086",
    ),
    ended="the runtime and the specification of auto_pad disagree, on sides and on sizes.",
    files={
        "upper.onnx": lambda path: written("SAME_UPPER", path),
        "lower.onnx": lambda path: written("SAME_LOWER", path),
    },
    control={"lower.onnx": lambda path: written("SAME_UPPER", path)},
    commands=("padviz diff upper.onnx lower.onnx --size 64",),
    answer=(
        " conv2  both  padding       0+1    1+0          pad 1 before and 0 after",
        "conv2, conv5, conv8: SAME_LOWER pads 1+0 where A pads 0+1. In PyTorch F.pad(x,",
        "(1, 0, 1, 0)), then padding=0.",
    ),
    cause=("conv2, conv5, conv8", "SAME_LOWER pads 1+0 where A pads 0+1"),
    do="Write the padding out as `pads`, which `padviz uneven` lists for a size, in place of auto_pad.",
    truth=tap_that_reads_the_first_row,
)
