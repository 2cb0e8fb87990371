"""The context that tiles need, measured by changing an image one column after another."""

import torch


def network_of(source: str, name: str) -> torch.nn.Module:
    """Return the network that a class or a function of a Python text makes, in float64."""
    space: dict[str, type[torch.nn.Module]] = {}
    exec(source, space)
    torch.manual_seed(0)
    return space[name]().double().eval()


def positive(network: torch.nn.Module) -> torch.nn.Module:
    """Make all weights positive and all biases 0, so that nothing that an output reads cancels out."""
    for name, parameter in network.named_parameters():
        parameter.data = (
            parameter.data.abs() if parameter.ndim > 1 or "weight" in name else parameter.data * 0
        )
    return network


def context(network: torch.nn.Module, image: torch.Tensor, at: int, scale: int = 1) -> list[int]:
    """Return how far outputs see across column `at`: into a tile that starts there, and into one that ends there.

    Outputs are `scale` times as wide as the image; the result is in columns of the image.
    """
    with torch.no_grad():
        base = network(image)
        seen = []
        for column in range(image.shape[-1]):
            changed = image.clone()
            changed[..., column] += 1
            seen.append((network(changed) != base).flatten(0, -2).any(0))
    columns = torch.arange(base.shape[-1])
    last = int(columns[torch.stack(seen[:at]).any(0)].max())
    first = int(columns[torch.stack(seen[at:]).any(0)].min())
    return [-(-(last + 1) // scale) - at, at - first // scale]
