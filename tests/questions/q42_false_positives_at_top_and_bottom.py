"""A wide image has as deep a rim as a square one, and so a larger share of it: perhaps why its rows see more errors."""

from tests.questions.q40_padding_that_helps_validation import DETECTOR, starved
from tests.questions.question import Question

QUESTION = Question(
    number=42,
    group="Accuracy at the border",
    asked="A detector is right when exported as 448 x 448. Exported as 448 x 224, its size in training, it sees false "
    "objects at the top and bottom. Can that be padding?",
    threads=("ultralytics/ultralytics#18830", "ultralytics/ultralytics#24028"),
    ended="it went stale and names no cause. The export was for an Edge TPU; #24028 later fixed the calibration of INT8"
    " exports that are not square.",
    files={"detector.py": DETECTOR.replace("MODE", "zeros")},
    control={"detector.py": DETECTOR.replace("MODE", "circular")},
    commands=("padviz audit detector:Detector --size 224x448",),
    answer=(
        "The outer 10 px above and left and 32 px below and right\n          are starved",
        "Margin    32 px of margin (1.47x the pixels) move the image out of the rim: 1.3\n"
        "          % of it is starved or overused instead of 29.3 %.",
    ),
    cause=("32 px of margin", "29.3 %"),
    do="Padding is one possible cause, not confirmed. First run the network in floats at 448 x 224. If it is right "
    "there, quantisation is to blame, which padviz does not see. If it is wrong there too, try the margin that "
    "the answer names, filled with the grey of the training bars: 288 rows, say, not 448. Or train with "
    "`rect=True`.",
    truth=lambda folder: starved(folder, 224, 448),
)
