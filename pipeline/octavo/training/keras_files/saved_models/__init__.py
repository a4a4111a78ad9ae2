"""Networks in SavedModels of others. Their graph is read as data: nothing of it runs before all of it is known."""
