"""xihe (MindSpore's community platform): ModelArts beneath, with arguments of its own."""

from . import modelarts_engine
from .environment import Environment, Fact
from .modelarts import ModelArts
from .script import Script
from .starting import OUTPUTS, Starting


class Xihe(ModelArts):
    title = "xihe"

    def starting(self, environment: Environment, script: Script, engine: Fact[str] | None) -> Starting:
        return modelarts_engine.starting(environment, script, engine, (*OUTPUTS, "output_path"))
