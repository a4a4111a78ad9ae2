"""Networks in Keras files of others: checked before anything of them is loaded, used as they are."""
