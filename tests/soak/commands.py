"""Command lines that are right, one for each command and habit, and what others make of them."""

from __future__ import annotations

from functools import cache
from random import Random

Options = list[list[str]]  # each with its values
COMMANDS = """
audit net.toml --size 12,9x12 --layer b --heads share --format markdown -o a.md --overwrite
audit net.onnx --size 16 --padding zero+circular --same --neutral Foo --format json -o a.png --overwrite
audit net.onnx --size 16 --images . --format markdown
explore net.toml --same --size 12,8,12x9 --padding zero,reflect --layer a --heads share -o a.html --overwrite
usage vgg11 --size 32 --padding reflect --layer features.3 --format json -o a.npy --overwrite
usage net.toml --same --size 8x12 --unit 0:2,1 --pooling mean -o a.csv --overwrite
usage net.onnx --size 16 --layer a,y --heads share --scale share --cmap PuOr -o a.png --overwrite
usage net.toml --size 8 --no-picture --format markdown
compare net.toml --size 8:12:4 --same --heads sum --format csv -o a.svg --overwrite
compare --model net.toml,net.onnx --size 12 --padding zero --layer a --scale each --cmap plasma -o b.svg --overwrite
compare net.toml --size 8,12 --no-picture
kernel --size 5 --padding partial --pixel 0,0 --format csv
kernel --kernel 2 --stride 2 --dilation 2 --size 7 --cmap plasma -o a.png --overwrite
uneven resnet18 net.toml --size 32 --format github --check
uneven net.toml net.onnx --size 12 --padding reflect --layer a --same --all --check convolutions -o a.csv --overwrite
sizes net.toml --padding reflect --size 8:64 --axis height --same
sizes net.onnx --size 16 --layer a --format json -o a.json --overwrite
uneven net.toml --taps --size 12 --padding reflect --format csv
uneven net.onnx --taps --size 12 --layer a --same -o a.png --overwrite
coverage net.toml --size 12 --same --layer a --padding partial --pooling mean --format json -o a.npz --overwrite
coverage net.toml --size 12 --cmap plasma -o a.png --overwrite
coverage net.toml --size 12 --no-picture
layers net.onnx --size 12 --layer a --format json -o a.png --overwrite
tiles vgg11 --size 512 --tile 480 --object 8 --layer features.3 --for python --format json -o a.json --overwrite
tiles vgg11 --size 512 --tile 480 --level .999 --layer features.3
tiles net.onnx --size 12x15 --verify --layer a
tiles net.toml --same --padding reflect --size 64x72 --tile 48 --ignore-norms --format csv
filters net.onnx --size 16 --layer a --format csv -o a.png --overwrite
filters net.onnx --layer a --format json
responses net.onnx --size 16 -n 2 --padding trained,zero/circular --seed 1 --mean .5 --layer a -o a.png --overwrite
responses net.onnx --size 12x16 --padding trained --inputs blank --std .2 --no-shuffled --format csv
detect net.onnx --size 16 --stimulus text:ab --step 8 --height 8 --contrast .5 --format csv -o a.png --overwrite
detect net.onnx --size 16 --padding reflect --layer y --class 0 --threshold --step 4 --resume -o a.png --overwrite
detect net.onnx --size 16 --image b.png --shift 8 --step 4 --mean .5 --std .2 --bgr --format json -o a.svg --overwrite
detect net.onnx --size 16 --stimulus text:ab --height 8 --step 8 --contrast .5 --no-picture
diff net.toml vgg11 --size 32 --check --format github
diff net.toml net.onnx --size 12 --padding reflect --same --format json -o a.json --overwrite
layers net.toml --same --size 12x8 --padding reflect -o a.csv --overwrite
layers net.onnx --layer a --format json
layers --format json
layers -o a.md --overwrite
convert net.toml -o b.toml --overwrite
convert net.onnx --size 12 --same --padding valid -o b.toml --overwrite
export net.toml --size 8:12:2 --what usage,coverage -o out --jobs 1 --format json,png
trial net.onnx --trained-at 16 --noise -n 3 --size 17 --padding zero/circular --mean .5 --std .2 -o a.png --overwrite
trial net.onnx --trained-at 12x16 --images . -n 2 --seed 1 --format csv
rings --gt gt.json --pred pred.json --rings 3 --iou .2,.5 --format csv --seed 1 -o a.csv --overwrite
rings vgg11 --gt gt.json --pred pred.json --size 64 --px 4,8 --by-class --format json -o a.png --overwrite
seen net.onnx --size 16 --noise -n 2 --patch 4 --grid 5 --seed 1 --format csv --resume -o a.svg --overwrite
seen net.onnx --size 16 --images . -n 2 --patch 4 --mean .5 --std .2 --format markdown
export net.onnx --size 16 --what filters,responses --padding reflect --layer a --cmap plasma -o out --jobs 1
repad net.onnx --padding symmetric --only a --except b --check --format json -o b.onnx --overwrite
repad net.onnx --size 16 --padding zero/circular -o b.onnx --overwrite
repad net.onnx --size 16 --even -o b.onnx --overwrite
""".strip().split("\n")
MODELS = ["net.toml", "net.toml", "net.onnx", "net.onnx", "vgg11", "net.onnx net.toml", "a.npz", "missing.onnx"]
NUMBERS = ["0", "1", "2", "3", "5", "7", "16", "17", "99", "0.5", "-1", "1e9", "100000"]


def parsed(line: str) -> tuple[list[str], Options]:
    """The command with its models, and its options.

    >>> parsed("usage net.toml --size 8 -o a.csv --overwrite")
    (['usage', 'net.toml'], [['--size', '8'], ['-o', 'a.csv'], ['--overwrite']])
    """
    head: list[str] = []
    options: Options = []
    for word in line.split(" "):
        if word.startswith("-"):
            options.append([word])
        else:
            (options[-1] if options else head).append(word)
    return head, options


@cache
def known() -> dict[str, Options]:
    """What lines give each option, and each command."""
    found: dict[str, Options] = {}
    for (name, *_), options in map(parsed, COMMANDS):
        for option in options:
            found.setdefault(option[0], []).append(option)
            found.setdefault(name, []).append(option)
    return found


def crossed(line: str, rng: Random) -> str:
    """A line with options, values of options, and models of others: what a person may well ask for."""
    (name, *models), options = parsed(line)
    for _ in range(rng.choice((1, 2, 3))):
        at, way = rng.randrange(len(options)), rng.random()
        if way < 0.15:
            models = rng.choice(MODELS).split(" ")
        elif way < 0.3 and len(options) > 1:
            del options[at]
        elif way < 0.5:
            options.append(rng.choice(known()[name]))
        elif way < 0.6 and len(options[at]) > 1:
            options[at] = [options[at][0], rng.choice(NUMBERS)]
        else:
            options[at] = rng.choice(known()[options[at][0]])
    return " ".join([name, *models, *(word for option in options for word in option)])
