"""ONNX files repadded: the graph is edited, read again and checked against the law."""
