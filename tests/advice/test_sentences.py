"""What an audit says follows from its figures, for the zoo and for networks that are drawn."""

import re
from collections import defaultdict
from contextlib import suppress
from functools import cache
from math import inf
from typing import Any

import pytest
from hypothesis import given

import padviz
from padviz.advice.atlas import atlas, with_rims
from padviz.advice.evidence import NARROW
from padviz.advice.remedies import FOVEATED, GAIN, LESS, Remedy
from padviz.advice.wording import FEW
from padviz.analyses.audit import SENTENCES, AuditResult
from padviz.errors import PadvizError
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import schemes_of
from padviz.sources.toml.load import parse, zoo
from tests.strategies import networks
from tests.sweeps import REST, SLOW

NEEDS = ["today's weights", "fine-tune", "retrain"]
SIZES = {"unet": 572, "ssd300_vgg16": 300}


@cache
def audited(name: str, size: int) -> AuditResult:
    return padviz.audit(name, size)


def of_zoo() -> list[AuditResult]:
    return [audited(name, size) for name in zoo() for size in {SIZES.get(name, 224), 640}]


def percents(text: str) -> set[str]:
    return {*re.findall(r"\d+\.\d %", text)}


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def is_narrow(audit: AuditResult) -> bool:
    """Whether no side is wide, nothing overused, and two thirds of the image fair."""
    figures = audit.outcome
    if figures.rim is None or figures.overused_rim is None or figures.share is None:
        return False
    mean = sum(figures.rim.depths) / 4
    unfair = figures.share.starved + figures.share.overused
    return mean <= NARROW and not any(figures.overused_rim.depths) and unfair <= 1 / 3


def is_even(audit: AuditResult) -> bool:
    return not (audit.uneven_convolutions or audit.uneven_pools or audit.outcome.jumps)


def holds(audit: AuditResult) -> None:
    """Each sentence says what the figures are, and advice follows from them."""
    follows_from_its_table(audit)
    figures, pads = audit.outcome, audit.verdict != "no padding read"
    said = " ".join((audit.now, audit.training))
    if pads and figures.rim and figures.overused_rim and figures.share:
        depths = {*figures.rim.depths, *figures.overused_rim.depths} - {0}
        assert {int(n) for n in re.findall(r"(\d+) px", audit.border)} == depths
        shares = {percent(figures.share.starved), percent(figures.share.overused)}
        assert percents(audit.border) <= shares
    centred = not any(abs(offset or 0) >= 0.05 for offset in audit.offset)
    fine = not pads or (
        is_even(audit)
        and is_narrow(audit)
        and centred
        and "different centres" not in audit.symmetry
        and "no sampling grid: the target" not in audit.symmetry
    )
    assert audit.now.startswith("Nothing to do") == (audit.best == "nothing to do") == fine
    assert ("Keep the image size and the padding." in audit.training) == fine
    if pads and not fine:
        assert bool(audit.uneven_convolutions) == bool(re.search(r"convolutions? .*more pad", said))
        for wide in re.findall(r"rim is (\S+) px", said):
            assert figures.rim
            assert float(wide) == sum(figures.rim.depths) / 4
    for few in re.findall(r"% of (\d+) known networks", audit.border):
        assert int(few) >= FEW
    advised = {audit.best, audit.to_try} & {remedy.what for remedy in audit.remedies}
    if advised:
        helps(audit, audit.remedies[0])
    for what in audit.alike:
        assert what in audit.training


def place(audit: AuditResult, remedy: Remedy) -> tuple[Any, ...]:
    """The place of a remedy in the table, as its page states it."""
    after = remedy.outcome
    return (
        remedy.price is not None,
        NEEDS.index(remedy.needs),
        inf if remedy.trained is None else -remedy.trained,
        round(after.unfair, 3),
        remedy.macs_ratio or 1.0,
        after.uneven_convolutions + after.uneven_pools,
        sum(abs(n - m) for n, m in zip(after.size, audit.size, strict=True)),
        remedy.what,
    )


def follows_from_its_table(audit: AuditResult) -> None:
    """The order is total, and what is advised is the first row, because of the second."""
    places = [place(audit, remedy) for remedy in audit.remedies]
    assert places == sorted(set(places))
    named = {audit.best, audit.to_try} & {remedy.what for remedy in audit.remedies}
    first, second, *_ = [*audit.remedies, None, None]
    if not named:
        assert "because" not in f"{audit.now} {audit.training}"
        assert audit.best == "nothing to do" or first is None or first.price
        return
    assert first
    assert first.price is None
    assert named == {first.what}
    said = audit.training
    if first.needs == "today's weights":
        said = audit.now
    else:
        assert said.startswith(
            "Nothing measured helps accuracy. If you train anyway and the border"
        )
    (why,) = re.findall(r"because (.*?)[.:] ", said)
    if second is None:
        assert why == "nothing else that was tried helps"
    elif second.price:
        assert why == f"the next, {second.what}, {second.price}"
    else:
        assert why.startswith(f"the next, {second.what}, ")


def helps(audit: AuditResult, remedy: Remedy) -> None:
    """A change that is advised spares the border, joins no sides, and its figures are said."""
    before, after = audit.outcome, remedy.outcome
    assert after.unfair <= max(GAIN, min(before.unfair * (1 - LESS), FOVEATED))
    if remedy.padding and not any("wraps" in note for note in audit.notes):
        joined = any(SCHEMES[mode].wraps for mode in schemes_of(remedy.padding))
        assert not joined or "circular" in (audit.scheme or "") or "wrap" in audit.symmetry
    said = audit.training
    if remedy.needs == "today's weights":
        said = audit.now
    if after.share and before.share and after.share.starved < 1:
        left, were = percent(after.share.starved), percent(before.share.starved)
        assert (f"{left} starved instead of {were}" in said) == (left != were)
    assert "Here: ." not in said
    # The figures of other networks stand apart from this one's, with their size and rims.
    _, _, apart = said.partition(
        "In small test networks (5 to 17 convolutions, rims of 1 to 42 px)"
    )
    for points in (remedy.as_is, remedy.trained):
        assert points is None or f"{points:+.1f} points" in apart
    assert ("not measured" in said) == (remedy.as_is is None is remedy.trained)


QUICK = "test_resnet test_efficientnet test_convnext2 fcn_resnet50"


def of_the_atlas() -> list[Any]:
    """The networks of two libraries: a few run in `make test`, one in 200 in `make test-slow`."""
    names = []
    for library, source in (
        ("torchvision", "torchvision.models:get_model"),
        ("timm", "timm:create_model"),
    ):
        rows = [row for row in atlas() if row.library == library]
        names += [f"{source}:{row.names[library][0]}" for row in rows]
    marks = [(), *[SLOW if i % 200 == 0 else REST for i in range(len(names))]]
    quick = [name.rpartition(":")[2] in QUICK.split() for name in names]
    return [
        pytest.param(name, marks=marks[0 if now else i])
        for i, (name, now) in enumerate(zip(names, quick, strict=True), start=1)
    ]


@pytest.mark.parametrize("name", of_the_atlas())
def test_what_is_said_of_the_atlas_follows_from_its_figures(name: str) -> None:
    """At five sizes, or those that the network takes."""
    for size in (64, 96, 224, 225, 320):
        with suppress(PadvizError):
            holds(padviz.audit(name, size))


@pytest.mark.parametrize("name", zoo())
def test_what_is_said_of_the_zoo_follows_from_its_figures(name: str) -> None:
    for size in (SIZES.get(name, 224), 640):
        holds(audited(name, size))


@given(network=networks())
def test_what_is_said_of_any_network_follows_from_its_figures(network: Any) -> None:
    steps, size = network
    try:
        audit = padviz.audit(parse({"layers": steps}, "net"), size)
    except PadvizError:
        return
    holds(audit)


def test_networks_get_the_same_advice_only_if_the_same_is_wrong_with_them() -> None:
    wrong = defaultdict(set)
    for audit in of_zoo():
        if audit.verdict == "no padding read":
            continue
        figures = audit.outcome
        width = is_narrow(audit) or sum(figures.rim.depths if figures.rim else ())
        windows = len(audit.uneven_convolutions), len(audit.uneven_pools), figures.jumps
        off = max(abs(offset or 0) for offset in audit.offset)
        wrong[audit.now, audit.training].add((width, windows, off))
    assert max(map(len, wrong.values())) == 1
    assert len(wrong) > 20


def strided(kernel: int, depth: int) -> AuditResult:
    """Uneven windows, and then others that make the rim."""
    layers = [{"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1}]
    for i in range(depth):
        conv = {"op": "conv", "name": f"b{i}", "kernel": kernel, "padding": kernel // 2}
        layers.append(conv)
    return padviz.audit(parse({"layers": layers}, "net"), 512)


def test_a_narrow_rim_gets_other_advice_than_a_wide_one() -> None:
    narrow, wide = strided(3, 3), strided(65, 8)
    means = [sum(audit.outcome.rim.depths) / 4 for audit in (narrow, wide) if audit.outcome.rim]
    assert means[0] < 6 < 34 < means[1]
    assert narrow.uneven_convolutions == wide.uneven_convolutions == ["a"]
    assert "rim is" not in narrow.now
    assert "rim is" in wide.now
    assert (narrow.now, narrow.training) != (wide.now, wide.training)


def test_a_network_is_compared_with_those_whose_output_is_like_its_own() -> None:
    kinds = {
        "resnet50": "an output stride of 32",
        "squeezenet1_0": "an output stride of 16",
        "unet_padded": "an output stride of 1 to 4",
        "ssd300_vgg16": "several outputs",
    }
    for name, kind in kinds.items():
        audit = audited(name, SIZES.get(name, 224))
        stands = audit.standing
        assert stands
        assert stands.kind == kind
        alike = with_rims(kind)
        narrower = sum(row.mean < stands.mean for row in alike)
        assert (stands.of, stands.narrower) == (len(alike), narrower / len(alike))
        share = f"{narrower} of {stands.of}"
        if stands.of >= FEW:
            share = f"{100 * narrower / stands.of:.0f} % of {stands.of}"
        assert f"wider than in {share} known networks with {kind}" in audit.border


def test_the_same_sentences_stand_in_a_notebook_and_on_the_screen() -> None:
    audit = audited("vgg11", 224)
    page, text = audit._repr_html_(), " ".join(str(audit).split())
    for key in SENTENCES:
        assert f"{key.capitalize()} {getattr(audit, key)}" in text
        assert f">{key.capitalize()}<" in page
        assert getattr(audit, key) in page


def test_six_sentences_are_the_screen_and_all_is_behind_them() -> None:
    short, long = str(audited("resnet50", 224)), str(padviz.audit("resnet50", 224, all_=True))
    names = ["Border", "Now", "Training", "Margin", "Accuracy", "Measure"]
    assert [line.split()[0] for line in short.splitlines()[2:-2]] == names
    assert short.splitlines()[-1].startswith("--all shows")
    for remedy in audited("resnet50", 224).remedies:
        assert f" {remedy.what} " in long
