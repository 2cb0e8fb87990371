"""The atlas: what the package says of published networks, looked up and compared with."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

import padviz
from padviz.advice.atlas import AtlasRow, atlas, find, kind_of, nearest, with_rims
from padviz.advice.evidence import NARROW, WIDE, standing
from padviz.advice.remedies import FOVEATED
from padviz.counting.shares.summary import Rim
from padviz.network.network import Network
from padviz.sources.toml.load import load_config, parse, zoo
from tests.sweeps import DEEPER, sampled

FILE = files("padviz.advice").joinpath("atlas.json").read_bytes()
RIMS = [row for row in atlas() if row.rim is not None]
DOCS = Path(__file__).parents[2] / "docs"


def test_the_file_names_its_columns_and_is_small() -> None:
    told = json.loads(FILE)
    assert told["columns"] == [*AtlasRow.__struct_fields__]
    assert all(2 < len(row) <= len(told["columns"]) for row in told["rows"])
    assert len(FILE) < 150_000


def test_what_was_read_and_what_was_not_adds_up() -> None:
    told = json.loads(FILE)
    for library, counts in told["libraries"].items():
        names = sum(len(row.names.get(library, [])) for row in atlas())
        assert names == counts["read"]
        missing = [row for row in told["not_read"] if row[0] == library]
        assert len(missing) == counts["refused"] + counts["stopped"]
        assert all(why for *_, why in missing)


def test_a_name_stands_once_in_a_library() -> None:
    for library in json.loads(FILE)["libraries"]:
        names = [name for row in atlas() for name in row.names.get(library, [])]
        assert len(names) == len({*names})


@pytest.mark.parametrize("name", sampled(zoo(), DEEPER))
def test_the_rows_of_built_in_networks_are_what_padviz_counts(name: str) -> None:
    row = find(f"padviz {name}")
    assert row is not None
    network = load_config(name)
    summary = padviz.usage(network).summary()
    assert ((row.size, row.size), row.depths) == (network.size, summary.rim)
    assert (row.starved, row.overused) == (
        round(summary.share.starved, 4),
        round(summary.share.overused, 4),
    )
    assert row.uneven == len(padviz.uneven(network).uneven_convolutions)


def test_a_built_in_network_comes_before_others_of_its_name() -> None:
    for name in zoo():
        row = find(name)
        assert row is not None
        assert name in row.names["padviz"]
    assert find("no such network") is None


def test_rows_stand_by_their_rim_and_those_without_one_are_last() -> None:
    means = [row.mean for row in RIMS]
    assert means == sorted(means)
    assert [row.rim is None for row in atlas()] == sorted(row.rim is None for row in atlas())


def test_a_rim_is_compared_with_those_of_its_kind() -> None:
    rows = with_rims(kind_of([32]))
    for row in rows[:: len(rows) // 7]:
        assert row.rim is not None
        stands = standing(Rim(row.rim, row.rim), row.strides)
        assert (stands.of, stands.kind) == (len(rows), row.kind)
        assert stands.narrower == sum(other.mean < row.mean for other in rows) / len(rows)
    nobody = standing(Rim([1, 1], [1, 1]), [7.25])
    assert (nobody.narrower, nobody.of) == (None, 0)
    assert standing(Rim([1, 1], [1, 1]), [None]).of == 0


def test_about_a_fifth_of_the_atlas_is_narrow_and_a_third_wide() -> None:
    means = [row.mean for row in RIMS]
    assert sum(n <= NARROW for n in means) / len(means) == pytest.approx(1 / 5, abs=0.05)
    assert sum(n >= WIDE for n in means) / len(means) == pytest.approx(1 / 3, abs=0.05)


def test_the_nearest_networks_differ_least_on_four_sides() -> None:
    row = find("resnet50")
    assert row is not None
    assert row.rim is not None
    listed = nearest(Rim(row.rim, row.rim), row.kind)

    def distance(other: AtlasRow) -> int:
        return sum(abs(a - b) for a, b in zip(other.rim or [], row.rim or [], strict=True))

    distances = [*map(distance, listed)]
    assert distances == sorted(distances)
    assert distances[0] == 0
    assert {id(other) for other in listed} == {id(other) for other in with_rims(row.kind)}


def of_whole_image() -> Network:
    return parse({"layers": [{"op": "adaptive", "output": 3}], "size": 64}, "net")


def test_networks_like_one_are_found_by_its_name_and_by_itself() -> None:
    by_name, by_module = padviz.networks("resnet50"), padviz.networks(padviz.load("resnet50"))
    assert by_name.to_rows() == by_module.to_rows()
    assert by_name[0].rim == padviz.usage("resnet50").summary().rim
    with pytest.raises(padviz.PadvizError, match="no rim to compare; padviz audit"):
        padviz.networks(of_whole_image())


def test_the_pages_say_what_the_atlas_is() -> None:
    """Sentences with figures hold for the file."""
    counts = [*json.loads(FILE)["libraries"].values()]
    read, patches, refused, stopped = (
        sum(library[key] for library in counts) for key in ("read", "patches", "refused", "stopped")
    )
    lopsided, foveated, narrow, wide = (
        f"{100 * sum(map(is_so, RIMS)) / len(RIMS):.0f} %"
        for is_so in (
            lambda row: bool(standing(Rim(row.rim, row.rim), row.strides).lopsided),
            lambda row: (row.starved or 0) > FOVEATED,
            lambda row: row.mean <= NARROW,
            lambda row: row.mean >= WIDE,
        )
    )
    said = (
        f"It has {read:,} networks in {len(atlas()):,} rows, {len(RIMS)} of which have a rim: "
        "elsewhere a layer such as attention does not scale with the image. "
        f"Of these {lopsided} are lopsided, {foveated} foveated; {narrow} have a mean rim of at most "
        f"{NARROW} px, {wide} one of at least {WIDE} px. "
        f"Another {patches} networks have no convolution but one that cuts the image into patches: "
        f"they are counted, not listed. {refused} were refused, {stopped} stopped at two minutes or 2 GB."
    )
    assert said in flat("reference", "verdict.md")
    assert f"The rims of {len(RIMS)} geometries" in flat("theory", "rim.md")


def flat(*path: str) -> str:
    return " ".join(DOCS.joinpath(*path).read_text().split())
