"""The conformance suite of backends: ours pass it, and each planted fault is caught by the check that is about it."""

import numpy as np
import pytest

from chainrule import testing
from chainrule.backends import available, get
from chainrule.backends.host import HostVariable
from chainrule.backends.reference import ReferenceBackend, ReferenceProgram
from chainrule.errors import GraphError
from chainrule.ir import Graph

A_FEW = ["exp", "matmul", "normal"]  # tests/core/test_primitive_records.py has all of them


@pytest.mark.parametrize("backend", available())
def test_ours_pass(backend):
    testing.check_backend(get(backend), A_FEW)


class Broken(ReferenceBackend):
    """The reference backend with other parts."""

    name = "broken"

    def __init__(self, variable=HostVariable, program=ReferenceProgram):
        self.variable, self.program = variable, program

    def hold(self, value):
        return self.variable(value)

    def compile(self, graph, threads=None):
        return self.program(graph)


# ------------------------------------------------------------------------------------------------ Variables
class Transposed(HostVariable):
    def read(self):
        return np.asarray(super().read(), order="F")


class Elsewhere(HostVariable):
    place = "elsewhere"


class Narrow(HostVariable):
    def __init__(self, value):
        super().__init__(np.asarray(value, np.float32) if value.dtype == np.float64 else value)


class InPlace(HostVariable):
    """What was handed out is written to."""

    def __init__(self, value):
        super().__init__(np.array(value))

    def put(self, value):
        np.copyto(self.array, value)


class OverTheGiven(InPlace):
    """What was given is written to."""

    def __init__(self, value):
        HostVariable.__init__(self, value)

    def put(self, value):
        super().put(value) if self.array.flags.writeable else HostVariable.put(self, value)


class Tied(HostVariable):
    def copy(self):
        return self


class AlwaysFinite(HostVariable):
    def is_finite(self):
        return True


# ------------------------------------------------------------------------------------------------ programs
class Halved(ReferenceProgram):
    def run(self, inputs, state):
        return [a * 0.5 for a in super().run(inputs, state)]


class Views(ReferenceProgram):
    """Outputs share memory with inputs and state."""

    def _results(self, slots):
        return [slots[k] for k in self._outputs]


class OneByOne(ReferenceProgram):
    """An update reads what another update has left."""

    def _commit(self, slots, state):
        for k, slot in self._updates:
            np.copyto(state[k].own(), slots[slot])


class FirstState(ReferenceProgram):
    """Runs on the state of its first run for ever."""

    first = None

    def run(self, inputs, state):
        self.first = self.first or state
        return super().run(inputs, self.first)


class Forgetful(ReferenceProgram):
    def _commit(self, slots, state):
        pass


class Hasty(ReferenceProgram):
    """Changes the state before it is known whether the run fails."""

    def _evaluate(self, inputs, state):
        before = [variable.array for variable in state]
        for k, _ in self._updates:
            state[k].put(state[k].array + 1.0)
        slots = super()._evaluate(inputs, state)
        for variable, value in zip(state, before, strict=True):
            variable.put(value)
        return super()._evaluate(inputs, state) if slots else slots


class Careless(ReferenceProgram):
    """Positions outside are taken for others."""

    def _evaluate(self, inputs, state):
        return super()._evaluate([a % 4 if a.dtype == np.int64 else a for a in inputs], state)


class Clipped(ReferenceProgram):
    def run(self, inputs, state):
        return [np.nan_to_num(a) for a in super().run(inputs, state)]


class Trusting(ReferenceProgram):
    """Graphs are not verified."""

    def __init__(self, graph):
        try:
            super().__init__(graph)
        except GraphError:
            super().__init__(Graph((), ()))


class FirstRows(ReferenceProgram):
    def run_steps(self, tables, rows, per_step, state, until=None):
        return super().run_steps(tables, rows[:1].repeat(len(rows), axis=0), per_step, state, until)


class Endless(ReferenceProgram):
    def run_steps(self, tables, rows, per_step, state, until=None):
        return super().run_steps(tables, rows, per_step, state)


class StopsLate(ReferenceProgram):
    """The step that stops changes the state."""

    def run_steps(self, tables, rows, per_step, state, until=None):
        found = super().run_steps(tables, rows, per_step, state, until)
        if len(found[0]) < len(rows):
            k = len(found[0]) - 1
            self.run([*(t[rows[k]] for t in tables), *(v[k] for v in per_step)], state)
        return found


class GoesOn(ReferenceProgram):
    """A loss that is not finite does not stop it."""

    def run_steps(self, tables, rows, per_step, state, until=None):
        if until is not None or len(rows) == 0:
            return super().run_steps(tables, rows, per_step, state, until)
        done = [self.run([*(t[r] for t in tables), *(v[k] for v in per_step)], state) for k, r in enumerate(rows)]
        return [np.array(values) for values in zip(*done, strict=True)]


class AllOrNothing(ReferenceProgram):
    """A step that fails undoes those before."""

    def run_steps(self, tables, rows, per_step, state, until=None):
        before = [variable.array for variable in state]
        try:
            return super().run_steps(tables, rows, per_step, state, until)
        except Exception:
            for variable, value in zip(state, before, strict=True):
                variable.put(value)
            raise


class Noisy(ReferenceBackend):
    """Results depend on the number of threads."""

    name = "broken"

    def compile(self, graph, threads=None):
        program = ReferenceProgram(graph)
        if threads != 1:
            steps = program.run_steps
            program.run_steps = lambda *args: [a * (1.0 + 1e-15) for a in steps(*args)]
        return program


class WrongExp(ReferenceProgram):
    def __init__(self, graph):
        super().__init__(graph)
        self.wrong = any(node.op == "exp" for node in graph.nodes())

    def run(self, inputs, state):
        return [a * 1.5 if self.wrong else a for a in super().run(inputs, state)]


FAULTS = {
    "Transposed": (Broken(Transposed), "a held value is read as it was given: .* not in C order"),
    "Elsewhere": (Broken(Elsewhere), "a held value is read as it was given: .* in 'elsewhere'"),
    "Narrow": (Broken(Narrow), "a held value is read as it was given: .* float32"),
    "InPlace": (Broken(InPlace), "stays as it is: the array that was read"),
    "OverTheGiven": (Broken(OverTheGiven), "stays as it is: the array that was given"),
    "Tied": (Broken(Tied), "a copy goes its own way"),
    "AlwaysFinite": (Broken(AlwaysFinite), "it knows what is finite"),
    "Halved": (Broken(program=Halved), "a run gives outputs and leaves updates"),
    "Views": (Broken(program=Views), "outputs are arrays of their own"),
    "OneByOne": (Broken(program=OneByOne), "state is exchanged at once"),
    "FirstState": (Broken(program=FirstState), "a copy goes its own way"),
    "Forgetful": (Broken(program=Forgetful), "stays as it is: the array that was read"),
    "Hasty": (Broken(program=Hasty), "a run that fails changes nothing: state after"),
    "Careless": (Broken(program=Careless), "a run that fails changes nothing: there was no ArgumentError"),
    "Clipped": (Broken(program=Clipped), "infinities are values like others"),
    "Trusting": (Broken(program=Trusting), "a broken graph is refused"),
    "FirstRows": (Broken(program=FirstRows), "steps gather their rows"),
    "Endless": (Broken(program=Endless), "steps stop before the update where the loss is reached"),
    "StopsLate": (Broken(program=StopsLate), "steps stop before the update where the loss is reached"),
    "GoesOn": (Broken(program=GoesOn), "where the loss is not finite"),
    "AllOrNothing": (Broken(program=AllOrNothing), "a step that fails leaves those before"),
    "Noisy": (Noisy(), "threads change no bit"),
    "WrongExp": (Broken(program=WrongExp), "exp"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name):
    backend, said = FAULTS[name]
    with pytest.raises(testing.BackendMismatch, match=f"broken: .*{said}"):
        testing.check_backend(backend, A_FEW)
