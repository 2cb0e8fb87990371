"""Questions that padviz does not answer, and why."""

from tests.questions.question import NotAnswered

NOT_ANSWERED: tuple[NotAnswered, ...] = (
    NotAnswered(
        number=21,
        group="Latent decoders",
        asked="A decoder in tiles is nearer to the reference than the whole one (36.4 against 21.5 dB).",
        threads=("deepbeepmeep/Wan2GP#2367",),
        reason="Which output is the better image is a matter of values. `padviz seams` says by how much they differ.",
    ),
)
