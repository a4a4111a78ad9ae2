"""What `octavo doctor` looks at. Other rooms add checks as entry points of the group `octavo.checks`."""
