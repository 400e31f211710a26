"""The machine: its processes, locks, ports, packages, and the directories that are kept between runs."""
