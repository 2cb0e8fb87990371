"""ONNX files repadded: the graph edited, read again and held against the law."""
