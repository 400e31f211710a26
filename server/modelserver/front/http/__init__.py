"""HTTP itself: sockets, connections, bodies, whole answers."""
