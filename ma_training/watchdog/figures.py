"""The figures of the rules, each once. Seconds where nothing else is said; all run on the job's own clock."""

# --- how long the same phase may go on without progress ---
FACTOR = 3.0  # times the phase's usual longest
FLOOR = 5.0  # the least limit
SLOW_FLOOR = 60.0  # of start and end, which are seen once an attempt
WARM_UP = 3  # first steps of an attempt, from which nothing is learned
ENOUGH_STEPS = 10  # learned steps before their limit counts
ENOUGH_TIMES = 3  # the same for a section
NOTHING_KNOWN = 90.0  # limit where too little has been learned

# --- what the second kind of evidence must show ---
CONFIRM = 3.6  # everything has an explanation and stands still for this long: the hang is certain
SAMPLES = 4  # equal stacks at least
GIL_SHARE = 0.6  # of the samples in which whoever spins in Python holds the GIL
UNSEEN = 20.0  # nothing moves, but stacks cannot be seen
FIRST_COLLECTIVE = 25.0  # waiting in collectives where nothing is known (a first broadcast is long)
LOG_MOVES = 60.0  # the stack is the same, but the log grows: a thread that reports
DISK = 120.0  # in the kernel (state D): an fsync of many GB
NETWORK_MOVES = 300.0  # the stack is the same, but the node's network is busy
IO_MOVES = 1800.0  # the stack is the same, but bytes are read or written
COPIES = 4 * 3600.0  # the same, or one busy call, where nothing is known: data are prepared for hours
LONG_CALL = 600.0  # busy without the GIL: in one C call, or waiting for a compiler
SPIN, SPIN_LIMITS = 60.0, 5.0  # the same while a device is full: the larger of this, and so many limits
DEVICE_STEADY = 600.0  # nothing is known, and a device is full all the time

# --- what counts as movement ---
CPU_FLAT = 0.05  # cores
IO_FLAT = 64 * 1024  # bytes a second: monitors that read /proc stay below
NETWORK_FLAT = 64 * 1024  # bytes a second
RECENT = 3.0  # movement this long ago is movement now
RATE_SPAN = 0.8  # rates are taken over at least this long

# --- the job's clock ---
GAP = 3.0  # between two observations: beyond it, the watcher itself stood still
INTERVAL = 1.0  # between two observations, about; what a gap counts for
THROTTLED_PACE = 0.25  # a throttled job's clock never runs slower than this

# --- asking for stacks ---
QUICK, QUICK_FOR, SLOWLY = 0.8, 10.0, 5.0  # often at first and when it gets decisive, else more rarely
BREATH = 0.5  # between the end of one sample and the next
FRESH = 1.5  # what is confirmed has been seen so lately
STALE = 15.0  # a sample older than this says nothing any more

# --- a rank on its own ---
AHEAD = 3  # steps that the others have made since: they do not wait for it

# --- the guide's rule: IO unchanged, then utilisation by variance and median ---
IO_PERIOD, IO_PERIODS = 10.0, 3
DEVICE_SPAN = 60.0
DEVICE_NOW = 4.0  # what a device does now is what it has done for so long
DEVICE_VARIANCE = 1.0  # percent squared: below it, utilisation does not change
DEVICE_IDLE, DEVICE_FULL = 5.0, 95.0  # percent, the median: at rest; or spinning

# --- MindCluster's rule ---
NPU_ROUND, NPU_ROUNDS = 60.0, 5
NPU_AICORE = 5.0  # percent
NPU_PACKETS = 100  # over RoCE in a round
NPU_CPU = 5.0  # seconds of CPU time in a round

# --- stragglers ---
SLOW, SLOW_NO_MORE = 1.5, 1.25  # times the median of the peers
WINDOW, WINDOWS = 30.0, 3  # so long, and so many in a row
PEERS_REST = 0.7  # share of the time: who works more than this does not wait for a straggler
WINDOW_STEPS = 10  # in a window at least: it is longer where they take longer
PAUSE = 3.0  # steps' times without a step: then it was no training, and the window says nothing
COMPARABLE = 5  # observations in a window in which all ranks have done the same step
LONG_SECTION = 5.0  # shorter ones are not compared: they are read once a second
