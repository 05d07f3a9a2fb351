# run: --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis connection-refused
import socket

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = free.getsockname()
socket.create_connection(address)
