"""Run a LiteRT file with LiteRT's reference kernels. A program: model, images (.npy), outputs (.npy)."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def main(model: str, images: str, outputs: str) -> None:
    """Write the file's raw outputs for each image, one after the other.

    Args:
        model: path of the file.
        images: path of an array in the file's input encoding.
        outputs: path to write to.
    """
    interpreter = Interpreter(model_path=model, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    given = np.load(images, allow_pickle=False)
    interpreter.resize_tensor_input(source["index"], given[:1].shape)
    interpreter.allocate_tensors()
    found = []
    for image in given:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]))
    np.save(outputs, np.concatenate(found))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
