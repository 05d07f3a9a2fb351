"""moxing.mxnet is not rebuilt: importing it says so."""

from ma_training.compat.moxing import refuse

refuse(__name__)
