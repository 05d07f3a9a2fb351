# run: --nproc-per-node 3 --max-restarts 0 SCRIPT
# expect: exit 137, rank 1, diagnosis killed
import os
import time

if os.environ["RANK"] == "1":
    open("dying", "w").close()
    os.kill(os.getpid(), 9)
while not os.path.exists("dying"):
    time.sleep(0.01)
raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:2435")
