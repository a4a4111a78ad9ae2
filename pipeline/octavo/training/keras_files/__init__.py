"""Networks in Keras files and SavedModels of others: checked before anything of them is loaded, used as they are."""
