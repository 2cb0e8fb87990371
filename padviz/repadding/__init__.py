"""Padding replaced for real: `padviz.repad` for PyTorch modules, `padviz repad` for ONNX files."""
