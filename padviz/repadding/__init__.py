"""Padding replaced in PyTorch modules and ONNX files."""
