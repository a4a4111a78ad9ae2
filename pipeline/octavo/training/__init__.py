"""Training and export with TensorFlow. TFMOT needs Keras 2, which must be selected before TensorFlow is imported.

Keras 3, which opens the networks that it saved, must be told to use TensorFlow before it is imported.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"
