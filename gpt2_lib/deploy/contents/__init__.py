"""What is in an exported file: the graph of an ONNX file, and what each file says of its model."""
