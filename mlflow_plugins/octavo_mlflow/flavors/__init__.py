"""ONNX and LiteRT models in MLflow: logged, loaded, served."""
