"""At stride 8 a network has 114 columns for 910 px, which stand for 912 px: resized to 910, its mask lies to the left."""

from tests.questions.question import Question

SEGMENTER = """
from torch import nn
from torch.nn.functional import interpolate, pad


class Block(nn.Module):
    def __init__(self, before, after, stride=1, dilation=1):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, dilation, dilation)
        self.conv2 = nn.Conv2d(after, after, 3, 1, dilation, dilation)
        self.downsample = nn.Conv2d(before, after, 1, stride)

    def forward(self, x):
        return (self.conv2(self.conv1(x).relu()) + self.downsample(x)).relu()


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, 2, 3)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.ModuleList([Block(4, 4), Block(4, 4, 2), Block(4, 4, 1, 2), Block(4, 4, 1, 4)])
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, image):
        height, width = image.shape[-2:]
        rows, columns = PADDED
        x = pad(image, (0, columns - width, 0, rows - height))
        x = self.pool(self.stem(x).relu())
        for layer in self.layers:
            x = layer(x)
        mask = interpolate(self.head(x), (rows, columns), mode="bilinear", align_corners=False)
        return mask[..., :height, :width]
"""
QUESTION = Question(
    number=8,
    group="Sizes",
    asked="The mask is shifted to the left on an image 910 px wide. Why?",
    threads=("open-mmlab/mmsegmentation#1607",),
    ended="114 units at stride 8 stand for 912 px, squeezed into 910; padding in inference was added, and raised mIoU "
    "by .06, .47 and .56 points.",
    files={"segmenter.py": SEGMENTER.replace("PADDED", "height, width")},
    control={
        "segmenter.py": SEGMENTER.replace("PADDED", "-(-height // 8) * 8, -(-width // 8) * 8")
    },
    commands=("padviz sizes segmenter:Segmenter --size 512x910",),
    # The thread gives the numbers: 912 for 910, and 2 px.
    answer=(
        "outputs   in place along the height and squeezed by 2 px (first in interpolate)",
        "          at the far end of the width",
        "pad to    512 x 912: 2 px at the right",
        'x = F.pad(x, (0, 2, 0, 0), mode="reflect")',
        "y = model(x)",
        "y = y[..., :512, :910]",
    ),
    cause=("squeezed by 2 px (first in interpolate)", "512 x 912"),
    do="Pad the image to a multiple of 8 and crop the mask, as the printed lines do.",
)
