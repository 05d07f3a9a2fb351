# run: --max-restarts 50 SCRIPT
# expect: exit 1, rank 0, diagnosis none
rates = {"adam": 0.001}
print(rates["sgd"])
