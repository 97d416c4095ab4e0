"""The examples of the documents of Parsl 0.9 as scripts of this project: each runs, or a message says what replaces it.

`RUNS` are scripts; each is run by ``cnflow run --parsl`` in a folder of its own. `REPLACED` are statements that are
refused, with a part of the message.
"""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import cnflow
import cnflow.compat.parsl  # the switch, for `exec`
from cnflow.errors import NotCoveredError

PAGE = (Path(__file__).parents[2] / "docs/how-to/coming-from-parsl.md").read_text(encoding="utf-8")
THREADS = """
import os
import parsl
from parsl.app.app import python_app, bash_app
from parsl.configs.local_threads import config
parsl.load(config)
"""

RUNS = {
    "tutorial: python apps": (
        """
        assert parsl.__version__
        @python_app
        def hello():
            return 'Hello World!'
        @python_app
        def multiply(a, b):
            return a * b
        print(hello().result(), multiply(5, 9).result())
        """,
        "Hello World! 45",
    ),
    "tutorial: bash app with streams": (
        """
        @bash_app
        def echo_hello(stdout='echo-hello.stdout', stderr='echo-hello.stderr'):
            return 'echo "Hello World!"'
        echo_hello().result()
        print(open('echo-hello.stdout').read(), end='')
        """,
        "Hello World!",
    ),
    "tutorial: files by path": (
        """
        paths = [os.path.join(os.getcwd(), f'hello-{i}.txt') for i in range(3)]
        for i, path in enumerate(paths):
            open(path, 'w').write(f'hello {i}\\n')
        @bash_app
        def cat(inputs=[], outputs=[]):
            return 'cat {} > {}'.format(" ".join(inputs), outputs[0])
        concat = cat(inputs=paths, outputs=[os.path.join(os.getcwd(), 'all_hellos.txt')])
        print(open(concat.outputs[0].result()).read().split())
        """,
        "['hello', '0', 'hello', '1', 'hello', '2']",
    ),
    "tutorial: futures": (
        """
        @python_app
        def hello():
            import time
            time.sleep(0.5)
            return 'Hello World!'
        app_future = hello()
        print(app_future.done(), app_future.result(), app_future.done())
        """,
        "False Hello World! True",
    ),
    "tutorial: data futures": (
        """
        @bash_app
        def slowecho(message, outputs=[]):
            return 'sleep 0.3; echo %s &> %s' % (message, outputs[0])
        hello = slowecho('Hello World!', outputs=[os.path.join(os.getcwd(), 'hello-world.txt')])
        assert 'hello-world.txt' in repr(hello.outputs) and not hello.done()
        print(open(hello.outputs[0].result()).read(), hello.done())
        """,
        "Hello World!\n True",
    ),
    "tutorial: File objects": (
        """
        from parsl.data_provider.files import File
        @bash_app
        def copy(inputs=[], outputs=[]):
            return 'cat %s &> %s' % (inputs[0], outputs[0])
        open(os.path.join(os.getcwd(), 'cat-in.txt'), 'w').write('Hello World!\\n')
        source, target = File(os.path.join(os.getcwd(), 'cat-in.txt')), File(os.path.join(os.getcwd(), 'cat-out.txt'))
        done = copy(inputs=[source], outputs=[target])
        print(open(done.outputs[0].result()).read())
        """,
        "Hello World!",
    ),
    "tutorial: sequential workflow": (
        """
        @python_app
        def generate(limit):
            from random import randint
            return randint(1, limit)
        @bash_app
        def save(variable, outputs=[]):
            return 'echo %s &> %s' % (variable, outputs[0])
        random = generate(10)
        saved = save(random, outputs=[os.path.join(os.getcwd(), 'sequential-output.txt')])
        print(int(open(saved.outputs[0].result()).read()) == random.result())
        """,
        "True",
    ),
    "tutorial: parallel dataflow": (
        """
        @bash_app
        def generate(outputs=[]):
            return "echo $(( RANDOM )) &> {}".format(outputs[0])
        @bash_app
        def concat(inputs=[], outputs=[]):
            return "cat {0} > {1}".format(" ".join(inputs), outputs[0])
        @python_app
        def total(inputs=[]):
            with open(inputs[0], 'r') as f:
                return sum(int(line) for line in f)
        made = [generate(outputs=[os.path.join(os.getcwd(), f'random-{i}.txt')]) for i in range(5)]
        [each.result() for each in made]
        cc = concat(inputs=[i.outputs[0].filepath for i in made], outputs=[os.path.join(os.getcwd(), 'all.txt')])
        print(total(inputs=[cc.outputs[0]]).result() == sum(int(open(i.outputs[0].filepath).read()) for i in made))
        """,
        "True",
    ),
    "tutorial: Monte Carlo": (
        """
        @python_app
        def pi(num_points):
            from random import random
            return sum(random() ** 2 + random() ** 2 < 1 for _ in range(num_points)) * 4 / num_points
        @python_app
        def mean(a, b, c):
            return (a + b + c) / 3
        print("{:.0f}".format(mean(pi(10**4), pi(10**4), pi(10**4)).result()))
        """,
        "3",
    ),
    "tutorial: clear, then worker processes": (
        """
        from parsl.config import Config
        from parsl.executors.threads import ThreadPoolExecutor
        from parsl.providers import LocalProvider
        from parsl.channels import LocalChannel
        from parsl.executors import HighThroughputExecutor
        local_threads = Config(executors=[ThreadPoolExecutor(max_threads=8, label='local_threads')])
        local_htex = Config(
            executors=[
                HighThroughputExecutor(
                    label="htex_Local", worker_debug=True, cores_per_worker=1,
                    provider=LocalProvider(channel=LocalChannel(), init_blocks=1, max_blocks=1),
                )
            ],
            strategy=None,
        )
        parsl.clear()
        parsl.load(local_htex)
        @python_app
        def where():
            import os
            return os.getpid()
        print(where().result() != os.getpid())
        """,
        "True",
    ),
    "guide: map and reduce": (
        """
        @python_app
        def app_double(x):
            return x*2
        @python_app
        def app_sum(inputs=[]):
            return sum(inputs)
        print(app_sum(inputs=[app_double(i) for i in range(0,10)]).result())
        """,
        "90",
    ),
    "guide: python app on files": (
        """
        @python_app
        def echo(inputs=[], outputs=[]):
            with open(inputs[0], 'r') as in_file, open(outputs[0], 'w') as out_file:
                out_file.write(in_file.readline())
        open('in.txt', 'w').write('one line\\n')
        echo(inputs=['in.txt'], outputs=['out.txt']).result()
        print(open('out.txt').read())
        """,
        "one line",
    ),
    "guide: AUTO_LOGNAME": (
        """
        @bash_app
        def echo(arg, inputs=[], stderr=parsl.AUTO_LOGNAME, stdout=parsl.AUTO_LOGNAME):
            return 'echo {} {} {}'.format(arg, inputs[0], inputs[1])
        future = echo('Hello', inputs=['World', '!'])
        future.result()
        assert 'task_logs' in future.stdout
        print(open(future.stdout).read())
        """,
        "Hello World !",
    ),
    "guide: result of a data future has a path": (
        """
        @bash_app
        def echo(message, outputs=[]):
            return 'echo {} &> {}'.format(message, outputs[0])
        hello = echo('Hello World!', outputs=['hello1.txt'])
        print(open(hello.outputs[0].result().filepath).read())
        """,
        "Hello World!",
    ),
    "guide: errors of apps": (
        """
        @python_app
        def bad_divide(x):
            return 6/x
        try:
            bad_divide(0).result()
        except ZeroDivisionError as e:
            print('Oops!')
        """,
        "Oops!",
    ),
    "guide: futures as arguments of parallel calls": (
        """
        @python_app
        def wait_sleep_double(x, foo_1, foo_2):
            import time
            time.sleep(0.1)
            return x*2
        x, y = wait_sleep_double(10, None, None), wait_sleep_double(10, None, None)
        print(wait_sleep_double(10, x, y).result())
        """,
        "20",
    ),
    "guide: file URLs": (
        """
        from parsl.data_provider.files import File
        @bash_app
        def cat(inputs=[], stdout='stdout.txt'):
            return 'cat %s' % (inputs[0])
        path = os.path.join(os.getcwd(), 'test.txt')
        open(path, 'w').write('Hello\\n')
        cat(inputs=[File('file://' + path)]).result()
        print(open('stdout.txt').read())
        """,
        "Hello",
    ),
    "guide: retries on the configuration of Parsl's tests": (
        """
        parsl.clear()
        from parsl import load
        from parsl.tests.configs.local_threads import config
        config.retries = 2
        load(config)
        tries = []
        @python_app
        def flaky():
            tries.append(1)
            assert len(tries) == 3
            return len(tries)
        print(flaky().result())
        """,
        "3",
    ),
    "guide: app caching": (
        """
        @bash_app(cache=True)
        def hello(msg, stdout=None):
            return 'echo {}'.format(msg)
        print(hello('a', stdout='a.txt').result(), hello('a', stdout='a.txt').result())
        """,
        "0 0",
    ),
    "guide: checkpoint modes": (
        """
        parsl.clear()
        config.checkpoint_mode = 'task_exit'
        config.checkpoint_mode = 'periodic'
        config.checkpoint_period = "01:00:00"
        config.checkpoint_mode = 'dfk_exit'
        parsl.load(config)
        print(config.checkpoint_mode)
        """,
        "dfk_exit",
    ),
    "guide: manual checkpoint without a mode, and resuming": (
        """
        parsl.clear()
        dfk = parsl.load(config)
        @python_app(cache=True)
        def slow_double(x, sleep_dur=0):
            open('calls', 'a').write('x')
            return x * 2
        d = [slow_double(i) for i in range(5)]
        [i.result() for i in d]
        cpt_dir = dfk.checkpoint()
        assert os.path.isdir(cpt_dir) and 'checkpoint' in cpt_dir
        dfk.cleanup()
        from parsl.utils import get_all_checkpoints
        config.checkpoint_files = get_all_checkpoints()
        assert [os.path.samefile(cpt_dir, each) for each in config.checkpoint_files] == [True]
        parsl.load(config)
        print([slow_double(i).result() for i in range(5)], open('calls').read())
        """,
        "[0, 2, 4, 6, 8] xxxxx",
    ),
    "guide: configuration": (
        """
        parsl.clear()
        from parsl.config import Config
        from parsl.executors.threads import ThreadPoolExecutor
        config = Config(executors=[ThreadPoolExecutor()], lazy_errors=True)
        parsl.load(config)
        print(config.lazy_errors, config.monitoring, config.data_management_max_threads)
        """,
        "True None 10",
    ),
    "guide: help on a configuration": (
        """
        from parsl.config import Config
        help(Config)
        """,
        "executors",
    ),
    "guide: config, library and control script": (
        """
        parsl.clear()
        open('config.py', 'w').write('''
        import parsl
        from parsl.config import Config
        from parsl.executors.threads import ThreadPoolExecutor
        local_threads = Config(executors=[ThreadPoolExecutor(max_threads=4)], lazy_errors=True)
        '''.replace('\\n        ', '\\n'))
        open('library.py', 'w').write('''
        from parsl import python_app
        @python_app
        def increment(x):
            return x + 1
        '''.replace('\\n        ', '\\n'))
        from config import local_threads
        from library import increment
        parsl.load(local_threads)
        for i in range(2):
            print('{} + 1 = {}'.format(i, increment(i).result()))
        """,
        "0 + 1 = 1\n1 + 1 = 2",
    ),
    "guide: images": (
        """
        from parsl.config import Config
        from parsl.executors.ipp import IPyParallelExecutor
        from parsl.executors import IPyParallelExecutor
        from libsubmit.providers.local.local import Local
        config = Config(
            executors=[
                IPyParallelExecutor(label='pool_app1', container_image='app1_v0.1', provider=Local(init_blocks=2))
            ],
            lazy_errors=True,
        )
        executor = config.executors[0]
        print(executor.image, executor.provider.init_blocks, executor.working_dir)
        """,
        "app1_v0.1 2 None",
    ),
    "guide: elasticity": (
        """
        from parsl.config import Config
        from libsubmit.providers.local.local import Local
        from parsl.executors.ipp import IPyParallelExecutor
        config = Config(
            executors=[
                IPyParallelExecutor(
                    label='local_ipp', workers_per_node=2,
                    provider=Local(min_blocks=1, init_blocks=1, max_blocks=4, nodes_per_block=1, parallelism=0.5),
                )
            ]
        )
        print(config.executors[0].provider.parallelism, config.executors[0].max_workers)
        """,
        "0.5 2",
    ),
    "guide: usage statistics": (
        """
        from parsl.config import Config
        print(Config(usage_tracking=True).usage_tracking)
        """,
        "1",
    ),
    "questions: log lines": (
        """
        import logging
        parsl.set_stream_logger()
        parsl.set_file_logger('parsl.log', level=logging.DEBUG)
        print(os.path.exists('parsl.log'))
        """,
        "True",
    ),
    "questions: streams of a call": (
        """
        @bash_app
        def hello(msg, stdout=None):
            return 'echo {}'.format(msg)
        hello('Hello world', stdout='hello.txt').result()
        print(open('hello.txt').read())
        """,
        "Hello world",
    ),
    "questions: addresses": (
        """
        from parsl.addresses import address_by_route, address_by_query, address_by_hostname
        from parsl.executors import HighThroughputExecutor
        print(HighThroughputExecutor(label='ALCF_theta_local', address=address_by_hostname()).label)
        """,
        "ALCF_theta_local",
    ),
    "reference: walltime": (
        """
        from parsl.app.errors import AppTimeout
        @python_app(walltime=0.2)
        def sleeps():
            import time
            time.sleep(30)
        try:
            sleeps().result()
        except AppTimeout:
            print("timeout")
        """,
        "timeout",
    ),
    "reference: attributes of errors": (
        """
        from parsl.app.errors import (
            AppFailure, AppException, MissingOutputs, DependencyError, AppBadFormatting, ParslError)
        @bash_app
        def fails():
            return 'exit 3'
        error = fails().exception()
        assert isinstance(error, AppFailure) and isinstance(error, AppException)
        assert error.exitcode == 3 and error.retries == 0 and 'exit' in str(error.reason)
        @bash_app
        def forgets(outputs=[]):
            return 'true'
        error = forgets(outputs=['never.txt']).exception()
        assert isinstance(error, MissingOutputs) and 'never.txt' in str(error.outputs[0]) and error.reason
        @python_app
        def after(x):
            return x
        error = after(fails()).exception()
        assert isinstance(error, DependencyError)
        assert [type(each) for each in error.dependent_exceptions] == [AppFailure], error.dependent_exceptions
        @bash_app
        def formats(inputs=[]):
            return 'cat {0} {1}'.format(*inputs)
        error = formats(inputs=['a']).exception()
        assert isinstance(error, AppBadFormatting) and 'formats' in str(error), repr(error)
        assert isinstance(AppFailure('no', 7, retries=2), ParslError)
        print(AppFailure('no', 7, retries=2).exitcode, AppFailure('no', 7, retries=2).reason)
        """,
        "7 no",
    ),
    "reference: attributes of futures": (
        """
        from parsl.app.futures import DataFuture
        from parsl.dataflow.futures import AppFuture
        @bash_app
        def touch(outputs=[]):
            return 'touch {}'.format(outputs[0])
        future = touch(outputs=[os.path.join(os.getcwd(), 'a.txt')])
        data = future.outputs[0]
        assert isinstance(future, AppFuture) and isinstance(data, DataFuture)
        assert data.filename == data.filepath == os.path.join(os.getcwd(), 'a.txt'), data.filename
        assert data.tid == future.tid == 0 and data.result().filename == 'a.txt'
        print(future.stdout, future.stderr, data.cancelled(), data.running())
        """,
        "None None False False",
    ),
    "reference: classes of apps": (
        """
        from parsl.app.app import AppBase
        from parsl.app.bash import BashApp
        from parsl.app.python import PythonApp
        @python_app
        def p():
            return 1
        @bash_app
        def b():
            return 'true'
        print(isinstance(p, PythonApp), isinstance(b, BashApp), isinstance(p, BashApp), isinstance(b, AppBase))
        print(PythonApp(lambda: 3)().result(), issubclass(PythonApp, AppBase))
        """,
        "True True False True\n3 True",
    ),
    "reference: submit": (
        """
        dfk = parsl.dfk()
        def add(a, b, c=0):
            return a + b + c
        print(dfk.submit(add, 1, 2, executors='all', fn_hash=None, cache=False, c=3).result())
        print(dfk.submit(add, (1, 2), 'all', False, None, {'c': 3}).result())
        by_name = dict(app_args=(1, 2), executors='all', cache=False, ignore_for_cache=[], app_kwargs={'c': 3})
        print(dfk.submit(add, **by_name).result())
        """,
        "6\n6\n6",
    ),
    "reference: names of threads": (
        """
        parsl.clear()
        from parsl.config import Config
        from parsl.executors.threads import ThreadPoolExecutor
        parsl.load(Config(executors=[ThreadPoolExecutor('threads', 2, 'my-threads')]))
        @python_app
        def name():
            import threading
            return threading.current_thread().name
        print(name().result())
        """,
        "my-threads",
    ),
    "reference: folder of worker logs": (
        """
        parsl.clear()
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        logs = os.getcwd() + '/logs'
        parsl.load(Config(executors=[HighThroughputExecutor(label='htex', max_workers=1, worker_logdir_root=logs)]))
        @python_app
        def one():
            return 1
        print(one().result(), [files for _, _, files in os.walk('logs') if files])
        """,
        "1 [['block-0.log']]",
    ),
    "reference: launchers": (
        """
        from parsl.launchers import SimpleLauncher, SingleNodeLauncher
        from parsl.launchers.error import BadLauncher
        from parsl.providers import LocalProvider
        class MyLauncher:
            def __init__(self):
                self.inner = SimpleLauncher()
            def __call__(self, command, tasks_per_node, nodes_per_block):
                return self.inner("worker-wrapper {}".format(command), tasks_per_node, nodes_per_block)
        assert LocalProvider(launcher=MyLauncher()).launcher("run", 1, 1) == "worker-wrapper run"
        assert 'run' in SingleNodeLauncher()("run", 2, 1)
        parsl.clear()
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        def through_a_wrapper(command, tasks_per_node, nodes_per_block):
            return f"env WRAPPED={tasks_per_node} {command}"
        provider = LocalProvider(launcher=through_a_wrapper)
        parsl.load(Config(executors=[HighThroughputExecutor(max_workers=1, provider=provider)]))
        @python_app
        def wrapped():
            import os
            return os.environ['WRAPPED']
        assert wrapped().result() == '1'
        try:
            LocalProvider(launcher=7)
        except BadLauncher as error:
            print("bad launcher")
        """,
        "bad launcher",
    ),
    "reference: defaults of the local provider are today's": (
        """
        from parsl.providers import LocalProvider
        print(LocalProvider().init_blocks, LocalProvider().max_blocks)
        """,
        "1 1",
    ),
    "reference: names of errors": (
        """
        from parsl.executors.errors import (
            ControllerError, ExecutorError, ScalingFailed, InsufficientMPIRanks, DeserializationError, BadMessage)
        from parsl.executors.exceptions import ExecutorException, TaskExecException
        from parsl.dataflow.error import (
            DataFlowException, ConfigurationError, DuplicateTaskError, MissingFutError, BadCheckpoint, DependencyError)
        from parsl.launchers.error import BadLauncher
        from parsl.providers.error import (
            ExecutionProviderException, OptionalModuleMissing, ChannelRequired, ScaleOutFailed, SchedulerMissingArgs,
            ScriptPathError)
        from parsl.channels.errors import (
            ChannelError, BadHostKeyException, BadScriptPath, BadPermsScriptPath, FileExists, AuthException,
            SSHException, FileCopyException)
        from parsl.executors.high_throughput.errors import WorkerLost
        for below in (OptionalModuleMissing, ChannelRequired, ScaleOutFailed, SchedulerMissingArgs, ScriptPathError):
            assert issubclass(below, ExecutionProviderException), below
        assert issubclass(BadHostKeyException, ChannelError)
        try:
            raise OptionalModuleMissing(['boto3'], 'EC2')
        except ExecutionProviderException as error:
            print(error.module_names)
        """,
        "['boto3']",
    ),
    "reference: storage_access": (
        """
        from parsl.data_provider.data_manager import default_staging
        from parsl.data_provider.http import HTTPInTaskStaging
        from parsl.data_provider.ftp import FTPInTaskStaging
        from parsl.executors import HighThroughputExecutor
        stagings = default_staging + [HTTPInTaskStaging(), FTPInTaskStaging()]
        print(len(HighThroughputExecutor(storage_access=stagings).storage_access) - len(default_staging))
        """,
        "2",
    ),
    "changes: max_idletime and strategy": (
        """
        from parsl.config import Config
        print(Config(max_idletime=120.0, strategy='simple').max_idletime)
        """,
        "120.0",
    ),
    "changes: rank of a worker in the environment": (
        """
        parsl.clear()
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        parsl.load(Config(executors=[HighThroughputExecutor(max_workers=1)]))
        @bash_app
        def rank(stdout='rank.txt'):
            return 'echo $PARSL_WORKER_RANK $PARSL_WORKER_COUNT'
        rank().result()
        print(open('rank.txt').read())
        """,
        "0 1",
    ),
}


RUNS["guide: a script that never waits"] = (
    """
    parsl.clear()
    from parsl.config import Config
    parsl.load(Config())
    @python_app
    def double(x):
        open('doubled', 'w').write(str(2 * x))
    double(21)
    """,
    "",
)

RUNS["guide: an executor whose files are staged by Globus"] = (
    """
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.data_provider.globus import GlobusStaging
    from parsl.data_provider.data_manager import default_staging
    config = Config(
        executors=[
            HighThroughputExecutor(
                working_dir="/home/user/parsl_script",
                storage_access=default_staging + [GlobusStaging(
                    endpoint_uuid="7d2dc622-2edb-11e8-b8be-0ac6873fc732",
                    endpoint_path="/",
                    local_path="/home/user"
                )]
            )
        ]
    )
    print(config.executors[0].storage_access[-1].endpoint_uuid)
    """,
    "7d2dc622-2edb-11e8-b8be-0ac6873fc732",
)

REPLACED = {
    "from parsl.executors import ExtremeScaleExecutor": "use HighThroughputExecutor",
    "from parsl.executors import WorkQueueExecutor": "use HighThroughputExecutor",
    "from parsl.executors.swift_t import TurbineExecutor": "Parsl itself has removed it",
    "from parsl.executors.ipp_controller import Controller": "HighThroughputExecutor(image=...)",
    "from parsl.executors.base import ParslExecutor": "cnflow.interfaces.Executor",
    "from parsl.providers.provider_base import ExecutionProvider": "cnflow.interfaces.Provider",
    "from parsl.monitoring.visualization.app import cli_run": "run 'cnflow monitor'",
    "from parsl.dataflow.flow_control import FlowControl, FlowNoControl, Timer": "Config(strategy=...)",
    "from parsl.dataflow.strategy import Strategy": "set Config(strategy=...) to a name",
    "from parsl.data_provider.data_manager import DataManager": "cnflow.interfaces.Staging",
    "from parsl.configs.local import localThreads": "cnflow.configs has a function per site",
    "from parsl.tests.configs.theta import config": "write a Config of your own",
    "from parsl.config import Config; Config(lazy_errors=False)": "errors are always lazy",
}


def script_of(name):
    return THREADS + dedent(RUNS[name][0])


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.timeout(120)
def test_example_runs_unchanged(name, tmp_path):
    (tmp_path / "script.py").write_text(script_of(name))
    command = [sys.executable, "-m", "cnflow.cli", "run", "-q", "--parsl", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert RUNS[name][1] in done.stdout


def test_script_that_never_waits_has_run_its_tasks(tmp_path):
    (tmp_path / "script.py").write_text(script_of("guide: a script that never waits"))
    command = [sys.executable, "-m", "cnflow.cli", "run", "-q", "--parsl", "script.py"]
    subprocess.run(command, cwd=tmp_path, timeout=100, check=True)
    assert (tmp_path / "doubled").read_text() == "42"


@pytest.mark.parametrize("statement", REPLACED)
def test_name_without_a_counterpart_says_what_replaces_it(statement):
    with pytest.raises(NotCoveredError) as refused:
        exec(statement, {})
    assert REPLACED[statement] in str(refused.value)


def test_files_are_no_text_and_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load():

        @cnflow.bash_app
        def cat(inputs=()):
            return "cat " + " ".join(inputs)

        with pytest.raises(TypeError, match=r"write ' '.join\(map\(str, inputs\)\)"):
            cat(inputs=[cnflow.File("a.txt")]).result()


def test_page_has_a_row_for_each_part_of_the_documents():
    parts = {name.partition(":")[0] for name in RUNS}
    assert {part for part in parts if f"| {part}: " not in PAGE} == set()
