"""Contents of an exported file: the graph of an ONNX file, and the metadata of every file."""
