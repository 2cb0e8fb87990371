"""Questions that padviz does not answer, and why."""

from tests.questions.question import NotAnswered

NOT_ANSWERED: tuple[NotAnswered, ...] = (
    NotAnswered(
        number=21,
        group="Latent decoders",
        asked="A decoder in tiles is nearer to the reference than the whole one (36.4 against 21.5 dB).",
        threads=("deepbeepmeep/Wan2GP#2367",),
        reason=(
            "Which output is the better image is a matter of values: there the decoder had learnt positions from tiles "
            "of 256 px. `padviz seams` says by how much they differ."
        ),
    ),
    NotAnswered(
        number=32,
        group="Ports and exports",
        asked="The last unit of a convolution is wrong in Core ML, with kernel (3, 2), stride 2 and padding 1.",
        threads=("apple/coremltools#2515",),
        reason=(
            "Both files describe the same network, so the fault is the runtime's own. `padviz seams` of two saved "
            "outputs says where they differ, not why."
        ),
    ),
    NotAnswered(
        number=41,
        group="Accuracy at the border",
        asked="Masks of a segmenter stop short of an object's edge (boundary IoU .424, without the crop .551).",
        threads=("ultralytics/ultralytics#22397",),
        reason=(
            "The network's masks are whole: behind it, each is cropped to its predicted box, which padviz does not "
            "see. Crop to a larger box, or not at all."
        ),
    ),
    NotAnswered(
        number=48,
        group="Ports and exports",
        asked="An average pool with ceil_mode, exported to ONNX, gives 1.33 at the border where PyTorch has 2.",
        threads=("pytorch/pytorch#183528",),
        reason=(
            "The file describes the same pool as the network; the runtime divided its last windows by 9, and "
            "onnxruntime 1.32 does not. `padviz diff --run` says where the outputs differ, not why. Update it, or choose "
            "sizes at which ceil_mode adds no window: odd sizes, for kernel 3, stride 2, padding 1."
        ),
    ),
    NotAnswered(
        number=57,
        group="Accuracy at the border",
        asked="Masks of SAM 2 are bumpy at the frame. By how many pixels should I extend the image?",
        threads=("facebookresearch/sam2#694", "neverbiasu/ComfyUI-SAM2#55"),
        reason=(
            "It attends over all positions, so that every unit depends on every other, and counts give no margin. "
            "The second thread fills a margin with likely content and crops; measure it by `padviz rings`."
        ),
    ),
    NotAnswered(
        number=59,
        group="Latent decoders",
        asked="A tiled decode has a step where a horizontal and a vertical seam cross.",
        threads=("Comfy-Org/ComfyUI#16436", "Comfy-Org/ComfyUI#16422"),
        reason=(
            "The blending was wrong: a tile faded into pixels that the picture no longer had. padviz does not read "
            "a tiler's code. `padviz seams` finds the seams, and `padviz tiles` the context that needs no blending."
        ),
    ),
)
