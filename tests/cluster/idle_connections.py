# SPDX-License-Identifier: MIT
"""idle_connections.py HOST:PORT COUNT COMMAND...: opens COUNT connections, runs COMMAND beside them."""
import resource
import socket
import subprocess
import sys

host, port = sys.argv[1].rsplit(":", 1)
count = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
sockets = [socket.create_connection((host, int(port))) for _ in range(count)]
print(len(sockets), "open")
status = subprocess.run(sys.argv[3:], check=False).returncode
# The idle ones are still served.
for one in (sockets[0], sockets[-1]):
    one.sendall(b"\x94\x00\x01\xa4ping\x90")
    if one.recv(100) != b"\x94\x01\x01\xc0\xc0":
        sys.exit("an idle connection was not answered")
sys.exit(status)
