#!/bin/sh
# run: --no-python --max-restarts 0 sh SCRIPT
# expect: exit 127, rank 0, diagnosis not-found
horovodrun -np 2 python train.py
