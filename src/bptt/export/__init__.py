"""A trained network outside bptt: as an MLflow model, and as an ONNX graph."""
