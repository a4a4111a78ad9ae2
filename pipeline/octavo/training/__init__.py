"""Training and export with TensorFlow. TFMOT needs Keras 2, which must be selected before TensorFlow is imported."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
