# run: --nproc-per-node 2 --max-restarts 0 SCRIPT
# expect: exit 1, rank 0, diagnosis peer-lost
import os
import time

time.sleep(0.3 * int(os.environ["RANK"]))
raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.7]:2435")
