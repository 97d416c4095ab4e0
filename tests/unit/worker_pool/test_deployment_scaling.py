"""Stories of one Deployment, and a walk through whatever may happen to it."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cnflow.blocks import Demand
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.units import Seconds
from cnflow.worker_pool.deployments.scaling import (
    SETTLING,
    DeletePod,
    DeploymentScale,
    Forget,
    MarkFirst,
    OrderDrain,
    Pod,
    SetReplicas,
)

IDLE = 10.0


def scale(*, most=4, least=0, first=0, slots=2, strategy="htex_auto_scale", scales=True):
    limits = Limits(first, least, most, 1, 1.0, Seconds(IDLE))
    return DeploymentScale(limits, STRATEGIES[strategy], slots, scales=scales)


def demand(tasks):
    return Demand(tasks, tasks, 0, tasks)


def running(state, *pods, slots=2):
    """Give *state* pods with connected managers."""
    state.on_replicas(len(pods))
    state.on_pods(Pod(pod, is_ending=False) for pod in pods)
    for pod in pods:
        state.on_manager_up(pod, slots)


def test_deployment_grows_by_the_slots_that_tasks_need():
    state = scale()
    state.on_pods([])
    assert state.decide(demand(5), Seconds(0)) == [SetReplicas(3)]
    assert state.decide(demand(5), Seconds(1)) == []


def test_deployment_grows_to_its_limit_alone():
    state = scale(most=2)
    state.on_pods([])
    assert state.decide(demand(50), Seconds(0)) == [SetReplicas(2)]


def test_nothing_is_decided_before_the_pods_are_known():
    assert scale().decide(demand(50), Seconds(0)) == []


def test_deployment_of_a_fixed_size_is_left_alone():
    state = scale(scales=False)
    running(state, "a")
    assert state.decide(demand(50), Seconds(0)) == []


def test_idle_pods_drain_before_they_go_and_none_is_left_in_the_end():
    state = scale()
    running(state, "a", "b")
    assert state.decide(demand(0), Seconds(0)) == []
    actions = state.decide(demand(0), Seconds(IDLE))
    assert set(actions) == {MarkFirst("a"), MarkFirst("b"), OrderDrain("a"), OrderDrain("b")}
    assert state.on_drained("b", Seconds(11)) == [SetReplicas(1)]
    assert state.on_pods([Pod("a", is_ending=False)]) == [Forget("b")]
    assert state.on_drained("a", Seconds(12)) == [SetReplicas(0)]
    assert state.on_pods([]) == [Forget("a")]


def test_pod_that_is_idle_while_others_work_goes_first():
    state = scale()
    running(state, "a", "b", "c")
    state.on_idle_times({"a": 0.0, "b": 60.0, "c": 0.0})
    assert state.decide(demand(3), Seconds(0)) == [MarkFirst("b"), OrderDrain("b")]


def test_idle_times_of_an_earlier_decision_end_no_pod_that_may_have_a_task_by_now():
    state = scale()
    running(state, "a", "b", "c")
    state.on_idle_times({"a": 60.0, "b": 60.0, "c": 60.0})
    assert state.decide(demand(6), Seconds(0)) == []
    assert state.decide(demand(1), Seconds(0.1)) == []


def test_pods_that_do_not_exist_yet_are_given_up_first():
    state = scale(strategy="simple")
    running(state, "a")
    state.on_replicas(3)
    state.decide(demand(0), Seconds(0))
    assert SetReplicas(1) in state.decide(demand(0), Seconds(IDLE))


def test_pod_without_a_manager_is_removed_without_a_wait():
    state = scale(strategy="simple")
    state.on_replicas(1)
    state.on_pods([Pod("a", is_ending=False, state="pending")])
    state.decide(demand(0), Seconds(0))
    actions = state.decide(demand(0), Seconds(IDLE))
    assert actions == [MarkFirst("a"), SetReplicas(0), OrderDrain("a")]
    assert state.on_drained("a", Seconds(11)) == []


def test_drained_pod_that_the_deployment_kept_is_deleted():
    state = scale()
    running(state, "a", "b")
    state.on_idle_times({"a": 60.0, "b": 0.0})
    state.decide(demand(1), Seconds(0))
    state.on_drained("a", Seconds(1))
    state.on_pods([Pod("a", is_ending=False)])  # b went instead
    now = Seconds(1 + SETTLING)
    assert DeletePod("a") in state.decide(demand(1), now)
    assert DeletePod("a") not in state.decide(demand(1), Seconds(now + 1))


def test_drained_pod_is_counted_once():
    state = scale()
    running(state, "a")
    state.decide(demand(0), Seconds(0))
    state.decide(demand(0), Seconds(IDLE))
    assert state.on_drained("a", Seconds(11)) == [SetReplicas(0)]
    assert state.on_drained("a", Seconds(12)) == []
    assert state.on_drained("unknown", Seconds(12)) == []


def test_tasks_that_come_while_pods_drain_get_new_pods():
    state = scale()
    running(state, "a", "b")
    state.decide(demand(0), Seconds(0))
    state.decide(demand(0), Seconds(IDLE))
    assert state.decide(demand(2), Seconds(11)) == [SetReplicas(3)]


def test_number_of_pods_beyond_the_limit_that_another_hand_has_set_is_taken_back():
    state = scale(most=1, strategy="none")
    running(state, "a", "b")
    state.on_idle_times({"a": 0.0, "b": 5.0})
    actions = state.decide(demand(9), Seconds(0))
    assert actions == [MarkFirst("b"), OrderDrain("b")]


def test_pods_beyond_the_number_during_a_rollout_are_left_to_the_deployment():
    state = scale(most=2)
    running(state, "old-1", "old-2")
    state.on_pods(Pod(pod, is_ending=False) for pod in ("old-1", "old-2", "new-1"))
    assert state.decide(demand(9), Seconds(0)) == []
    state.on_idle_times({"old-1": 60.0, "old-2": 0.0})
    assert state.decide(demand(4), Seconds(1)) == []


class DeploymentMachine(RuleBasedStateMachine):
    """A Deployment controller that removes whichever pod it likes, and managers that come and go."""

    @initialize(most=st.integers(1, 4), strategy=st.sampled_from(sorted(STRATEGIES)))
    def begin(self, most, strategy):
        self.most, self.now, self.tasks = most, 0.0, 0
        self.state = scale(most=most, strategy=strategy)
        self.wanted, self.pods, self.up, self.numbers = 0, {}, set(), 0
        self.ordered, self.marked, self.seen = set(), set(), set()
        self.drained = {}
        """Pods that may go, as their managers have no task and get none, with the moment."""

        self.look()

    def carry_out(self, actions):
        for action in sorted(actions, key=lambda each: isinstance(each, SetReplicas)):
            match action:
                case SetReplicas(number):
                    self.set_wanted(number)
                case MarkFirst(pod):
                    self.marked.add(pod)
                case OrderDrain(pod):
                    assert pod in self.marked, "the Deployment would remove another pod in the place of a drained one"
                    self.ordered.add(pod)
                    if pod not in self.up:  # the interchange gives its manager no task, whenever it comes
                        self.drained[pod] = self.now
                case DeletePod(pod):
                    assert pod in self.drained, "a pod that was not drained was deleted"
                    self.pods.pop(pod, None)
                    self.up.discard(pod)
                case Forget(pod):
                    self.seen.remove(pod)

    def set_wanted(self, number):
        """Change the number of pods, of which at least those are to stay that may have a task."""
        if number < self.wanted:
            needed = [pod for pod in self.pods if pod not in self.drained]
            assert number >= min(len(needed), self.wanted), "a pod that may have a task would go"
        else:
            assert number - len(self.leaving) <= self.most, "more pods than the limit"
        self.wanted = number

    @property
    def leaving(self):
        """Pods that count until they are drained."""
        return [pod for pod in self.ordered if pod in self.pods and pod not in self.drained]

    def look(self):
        self.state.on_replicas(self.wanted)
        gone = self.seen - set(self.pods)
        forgotten = self.state.on_pods(Pod(pod, is_ending=False) for pod in self.pods)
        assert {each.pod for each in forgotten} == gone, "the interchange keeps a pod that is gone"
        self.carry_out(forgotten)
        self.seen = set(self.pods)
        self.carry_out(self.state.decide(demand(self.tasks), Seconds(self.now)))
        late = [pod for pod, since in self.drained.items() if pod in self.pods and self.now - since >= 2 * SETTLING]
        assert not late or self.asked_again(late), "a drained pod stays for ever"
        if self.tasks and self.state._strategy is not STRATEGIES["none"]:
            assert self.wanted > len(self.leaving), "tasks wait, and no pod is wanted"

    def asked_again(self, pods):
        """Return whether pods that stay are those whose removal was just asked for again."""
        return all(self.now - self.state._drained.get(pod, -1e9) < SETTLING for pod in pods)

    @rule(seconds=st.sampled_from([0.1, 1.0, IDLE, 2 * SETTLING]))
    def time_passes(self, seconds):
        self.now += seconds
        self.look()

    @rule(tasks=st.integers(0, 12))
    def tasks_change(self, tasks):
        self.tasks = tasks
        self.look()

    @rule(data=st.data())
    def controller_reconciles(self, data):
        while len(self.pods) < self.wanted:
            self.numbers += 1
            self.pods[f"p{self.numbers}"] = None
        while len(self.pods) > self.wanted:
            gone = data.draw(st.sampled_from(sorted(self.pods)))
            del self.pods[gone]
            self.up.discard(gone)
            self.state.on_manager_down(gone)
        self.look()

    @precondition(lambda self: set(self.pods) - self.up)
    @rule(data=st.data())
    def manager_connects(self, data):
        pod = data.draw(st.sampled_from(sorted(set(self.pods) - self.up)))
        self.up.add(pod)
        self.state.on_manager_up(pod, 2)

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def manager_is_lost(self, data):
        pod = data.draw(st.sampled_from(sorted(self.up)))
        self.up.discard(pod)
        self.state.on_manager_down(pod)

    @precondition(lambda self: self.ordered)
    @rule(data=st.data())
    def pod_is_drained(self, data):
        pod = data.draw(st.sampled_from(sorted(self.ordered)))
        self.drained.setdefault(pod, self.now)
        self.carry_out(self.state.on_drained(pod, Seconds(self.now)))

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def pod_is_deleted_by_hand(self, data):
        pod = data.draw(st.sampled_from(sorted(self.pods)))
        del self.pods[pod]
        self.up.discard(pod)
        self.state.on_manager_down(pod)

    @rule(seconds=st.floats(0, 60))
    def idle_times_are_reported(self, seconds):
        self.state.on_idle_times(dict.fromkeys(self.up, seconds))

    @invariant()
    def number_of_pods_is_not_negative_and_new_ones_respect_the_limit(self):
        assert self.wanted >= 0
        draining = set(self.state.draining) & self.seen  # of one that was just deleted by hand nothing is known yet
        assert self.wanted <= self.most + len(draining)

    def teardown(self):
        """Without tasks a strategy that shrinks ends with no pod, whatever happened before."""
        if not hasattr(self, "state") or self.state._strategy is STRATEGIES["none"]:
            return
        self.tasks = 0
        for _ in range(60):
            self.now += SETTLING
            while len(self.pods) < self.wanted:
                self.numbers += 1
                self.pods[f"p{self.numbers}"] = None
            for pod in sorted(self.pods)[self.wanted :]:
                del self.pods[pod]
            self.look()
            for pod in sorted(self.ordered & set(self.pods)):
                self.drained.setdefault(pod, self.now)
                self.carry_out(self.state.on_drained(pod, Seconds(self.now)))
        assert (self.wanted, self.pods) == (0, {})


TestDeploymentMachine = DeploymentMachine.TestCase
