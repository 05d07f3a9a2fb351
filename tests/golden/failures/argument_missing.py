# run: --max-restarts 0 SCRIPT
# expect: exit 2, rank 0, diagnosis argument-error
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.parse_args()
