# run: --max-restarts 0 SCRIPT --data_url s3://bucket/data --lr 1
# expect: exit 2, rank 0, diagnosis unknown-argument
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr")
parser.parse_args()
