"""The room with TensorFlow. TFMOT needs Keras 2, which TensorFlow serves only if told before its import."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
