"""Questions that people asked elsewhere, each rebuilt as a small network with the command that answers it."""
