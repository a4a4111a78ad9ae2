"""Start nights by schedule: systemd or cron on this machine, or a file for another platform."""
