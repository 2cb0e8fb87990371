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
)
