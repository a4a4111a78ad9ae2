"""What git knows of the project: the commit it is at, and tags for what was promoted."""
