"""What systemd is asked, and what it is told."""
