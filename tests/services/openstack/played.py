"""Machines of the stand-in that are processes of this machine, where no container is needed."""

from cnflow.testing.machines import ProcessPlayer


class PlayedMachines:
    """As `tests.services.machines.vms.Machines`, by `cnflow.testing.machines.ProcessPlayer`."""

    def __init__(self, folder):
        self.player, self.known = ProcessPlayer(folder), {}

    def make_network(self):
        """Nothing: the network is that of this machine."""

    def start(self, name, user_data, _facts):
        self.known[name] = machine = _Machine(self.player.start(name, user_data.decode()))
        return machine

    def running(self):
        return {name for name, machine in list(self.known.items()) if machine.played.is_alive()}

    def remove(self):
        for machine in self.known.values():
            machine.remove()


class _Machine:
    address = "127.0.0.1"

    def __init__(self, played):
        self.played = played

    def console(self):
        return self.played.console()

    def remove(self):
        self.played.end()
