"""What starts a night: systemd or cron on this machine, or a file for another platform."""
