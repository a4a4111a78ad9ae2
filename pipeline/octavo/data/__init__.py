"""From a source of images to splits and their manifest. Imports project and statistics."""
