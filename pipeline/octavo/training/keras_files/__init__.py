"""Networks that others saved with Keras or TensorFlow: checked before anything of them is loaded, used as they are."""
