"""Networks that others wrote, held against their own gradients: `make test-zoo`."""
