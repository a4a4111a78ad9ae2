"""Train multilayer perceptrons in scikit-learn, and convert them with skl2onnx: `python sklearn_dense.py FOLDER`.

Runs in an environment of its own. Into the folder go `classifier.onnx` as it is converted, `probabilities.onnx` with
that output alone, `regressor.onnx`, and `vectors.npy`.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier, MLPRegressor


def main(folder: Path) -> None:
    vectors, labels = load_digits(return_X_y=True)
    vectors = (vectors / 16).astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    classifier = MLPClassifier((32, 16), max_iter=60, random_state=0).fit(vectors, labels)
    made = to_onnx(classifier, vectors[:1], options={"zipmap": False})
    path = folder / "classifier.onnx"
    path.write_bytes(made.SerializeToString())
    onnx.utils.extract_model(path, folder / "probabilities.onnx", [made.graph.input[0].name], ["probabilities"])
    regressor = MLPRegressor(hidden_layer_sizes=(16,), max_iter=60, random_state=0).fit(vectors, labels)
    (folder / "regressor.onnx").write_bytes(to_onnx(regressor, vectors[:1]).SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
