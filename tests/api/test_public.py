"""What `import padviz` offers: called as the commands, with what the commands take."""

from __future__ import annotations

from pathlib import Path

import pytest

import padviz

nn = pytest.importorskip("torch.nn")
SMALL = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))


def test_a_size_is_a_number_or_a_pair() -> None:
    module = nn.Conv2d(3, 8, 3)
    assert padviz.load(module, 32).size == padviz.load(module, (32, 32)).size == (32, 32)
    assert padviz.load(module, [32, 40]).size == (32, 40)
    with pytest.raises(padviz.PadvizError, match="size: 0 is not one or two numbers of pixels"):
        padviz.load(module, 0)


def test_one_function_repads_modules_and_files(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from tests.repadding.test_onnx_file import chain

    repadded = padviz.repad(chain(tmp_path / "net.onnx"), "reflect", only="b")
    repadded.save(tmp_path / "out.onnx")
    assert repadded.changed == ("b",)
    counts = [padviz.usage(net, 32).counts for net in (tmp_path / "out.onnx", repadded.network)]
    assert (counts[0] == counts[1]).all()
    assert padviz.repad("tests.api.test_public:SMALL", "reflect", 64, "1").repadded.changed == ("1",)
    for options in ({"even": True}, {"padding": "reflect", "except_": "conv1"}):
        with pytest.raises(padviz.PadvizError, match="is for ONNX files"):
            padviz.repad(nn.Conv2d(3, 8, 3, padding=1), **options)
