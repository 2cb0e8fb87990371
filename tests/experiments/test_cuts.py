"""What the how-to pages say of networks that are cut is what experiments/cuts.py measures."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import padviz
from examples.networks import Globe, codec_decoder, latent_decoder
from experiments import cuts
from tests.sweeps import SLOW

DOCS = Path(__file__).parents[2] / "docs"


def says(page: str, *words: str) -> bool:
    text = " ".join((DOCS / "howto" / page).read_text().split())
    return all(each in text for each in words)


def drawn_small(figure: Figure, picture: Path) -> bool:
    cuts.save(figure, picture)
    return 5_000 < picture.stat().st_size < 150_000


@SLOW
def test_norms_per_tile_leave_seams_and_shared_norms_none(tmp_path: Path) -> None:
    made = cuts.decoded()
    assert drawn_small(cuts.draw_decoded(made, 0.07), tmp_path / "latents.png")
    assert (made.rms, made.step) == (pytest.approx(0.34, abs=0.01), pytest.approx(0.26, abs=0.01))
    assert made.shared < 1e-12
    assert says("decode-latents.md", "0.34 standard deviations", "steps by 0.26 sd")


@SLOW
def test_networks_as_pytorch_builds_them_are_less_wrong_on_noise() -> None:
    noise = [cuts.decoded_noise(seed) for seed in cuts.SEEDS]
    assert f"{min(noise):.2f} to {max(noise):.2f}" == "0.03 to 0.07"
    assert says("decode-latents.md", "0.03 to 0.07 sd (five draws)")
    turned = [cuts.turned_noise(180, seed) for seed in cuts.SEEDS]
    assert f"{min(turned):.3f} to {max(turned):.2f}" == "0.003 to 0.03"
    assert says("panoramas.md", "0.003 to 0.03 sd (five draws)")
    assert max(cuts.turned_noise(184, seed) for seed in cuts.SEEDS) < 1e-12


def test_a_latent_decoder_needs_the_context_that_the_page_names() -> None:
    decoder = latent_decoder()
    needed = {}
    for level in (None, 0.999, 0.99):
        plan = padviz.tiles(decoder, cuts.LATENTS, cuts.TILE, norms="per-tile", level=level).plan
        assert isinstance(plan, padviz.Plan)
        needed[level] = {(context.before, context.after) for context in plan.contexts[0]}
    assert needed == {None: {(18, 18)}, 0.999: {(10, 10)}, 0.99: {(8, 8)}}
    assert says("decode-latents.md", "18 latents on each side", "it is 10 latents, with `.99` 8")


def test_shards_of_a_wide_decoder_exchange_sixteen_times_the_bytes() -> None:
    small, wide = (padviz.shards(latent_decoder(width), 2, 128).bytes for width in (8, 128))
    assert f"{small / 1e6:.1f}, {wide / 1e6:.1f}" == "2.0, 32.5"
    assert says("decode-latents.md", "2.0 MB", "32.5 MB")


def test_chunks_that_restart_are_wrong_and_a_stream_is_not(tmp_path: Path) -> None:
    made = cuts.played()
    assert drawn_small(cuts.draw_played(made), tmp_path / "audio.png")
    assert f"{made.worst:.1f}, {made.before:.0f}, {made.after:.0f}" == "2.2, 50, 50"
    assert made.stream < 1e-12
    lag = padviz.stream(codec_decoder(), cuts.CHUNK).lag
    assert f"{lag}, {lag * cuts.PER_FRAME / cuts.RATE * 1000:.0f}" == "4, 53"
    assert says(
        "chunks-for-audio.md",
        "for 50 ms on both sides",
        "up to 2.2 standard",
        "lags by 4 frames, 53 ms",
    )


def test_a_globe_has_a_seam_where_a_zero_column_mends_a_skip(tmp_path: Path) -> None:
    globes = {width: cuts.turned(width) for width in (180, 184)}
    assert drawn_small(cuts.draw_turned(globes, 0.03), tmp_path / "globe.png")
    seam, none = (globe.apart for globe in globes.values())
    assert f"{seam.max():.1f}" == "1.9"
    assert none.max() < 1e-12
    assert says("panoramas.md", "the change is up to 1.9 standard deviations")
    far = abs(np.arange(180) - 90) > 45  # a quarter of the globe away from longitude 0
    assert seam[far].max() < 1e-2
    found = padviz.check(Globe(), (cuts.ROWS, 180), wraps="width")
    assert [row.layer for row in found] == ["pad", "max_pool_3"]
    assert "176 or 184" in found[1].change
    assert padviz.check(Globe(), (cuts.ROWS, 184), wraps="width")
