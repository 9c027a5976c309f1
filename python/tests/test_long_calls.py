"""Long calls: the interpreter goes on meanwhile, Ctrl-C ends them, threads and forks get the right numbers. Whatever might hang
runs in a process of its own, with a limit."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import exegesis as xg

X = np.random.default_rng(0).random((4, 1, 28, 28), dtype="float32")
LONG = "smoothgrad:samples=20000"
LIMIT = 60

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")


def run(code, *, interrupt_after=None):
    """Output of a program; with `interrupt_after` it gets Ctrl-C that many seconds after it prints `ready`."""
    program = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            if interrupt_after is None:
                return process.communicate(timeout=LIMIT)[0]
            assert process.stdout.readline().strip() == "ready"
            time.sleep(interrupt_after)
            process.send_signal(signal.SIGINT)
            return process.communicate(timeout=LIMIT)[0]
        finally:
            process.kill()


def test_other_threads_go_on_meanwhile():
    model = xg.load()
    model.explain(X, "gradient")
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    try:
        time.sleep(0.05)
        before, started = counted[0], time.monotonic()
        model.explain(X, "integrated-gradients:steps=300")
        seconds, steps = time.monotonic() - started, counted[0] - before
    finally:
        done.set()
        other.join()
    assert seconds > 0.1 and steps > 50 * seconds, "a thread that sleeps a millisecond at a time is woken all along"


def test_threads_share_a_model_and_get_the_right_numbers():
    model = xg.load()
    methods = ["gradient", "lrp", "integrated-gradients:steps=5", "kernel-shap:samples=60"]
    expected = {(name, target): model.explain(X, name, target=target, seed=1).values for name in methods for target in (1, 2)}
    fresh, failures = xg.load(), []

    def work(number):
        for turn in range(4):
            name, target = methods[(number + turn) % 4], 1 + (number + turn) % 2
            found = fresh.explain(X, name, target=target, seed=1).values
            if not np.allclose(found, expected[name, target], atol=1e-6):
                failures.append((name, target))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@posix
@pytest.mark.parametrize("method", [LONG, "kernel-shap:samples=2000000", "gradient-shap:samples=90000"])
def test_an_interrupted_call_ends_soon_and_leaves_everything_usable(method):
    output = run(
        f"""
        import time, numpy as np, exegesis as xg
        model = xg.load()
        x = np.random.default_rng(0).random((4, 1, 28, 28), dtype="float32")
        before = model.explain(x, "gradient").values.copy()
        print("ready", flush=True)
        try:
            model.explain(x, {method!r}, players={'"pixel"' if "kernel" in method else None})
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted", time.monotonic())
        print(np.array_equal(model.explain(x, "gradient").values, before))
        again = model.explain(x, {method.split(":")[0]!r}, players={'"patch:7"' if "kernel" in method else None})
        print(np.isfinite(again.values).all(), again.warnings)
        """,
        interrupt_after=1.0,
    )
    lines = output.strip().splitlines()
    assert lines[0].startswith("interrupted") and lines[1] == "True" and lines[2].startswith("True []"), output


@posix
def test_an_interrupt_comes_within_a_second():
    output = run(
        f"""
        import os, signal, threading, time, numpy as np, exegesis as xg
        model = xg.load()
        at = []
        def interrupt():
            at.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(1.0, interrupt).start()
        try:
            model.explain(np.zeros((4, 1, 28, 28), "float32"), {LONG!r})
        except KeyboardInterrupt:
            print(time.monotonic() - at[0])
        """
    )
    assert float(output) < 1.0, output


@posix
def test_an_interrupt_of_one_thread_leaves_the_work_of_others_alone():
    output = run(
        """
        import threading, numpy as np, exegesis as xg
        model = xg.load()
        x = np.random.default_rng(0).random((2, 1, 28, 28), dtype="float32")
        method = "integrated-gradients:steps=1500"
        found = []
        other = threading.Thread(target=lambda: found.append(model.explain(x, method)))
        other.start()
        print("ready", flush=True)
        try:
            model.explain(x, method)
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted")
        other.join()
        print(len(found), np.isfinite(found[0].values).all(), found[0].warnings)
        """,
        interrupt_after=0.3,
    )
    assert output.split() == ["interrupted", "1", "True", "[]"], output


@posix
@pytest.mark.parametrize("threads", [None, 2])
def test_a_forked_process_can_explain(threads):
    output = run(
        f"""
        import os, signal, sys, numpy as np, exegesis as xg
        model = xg.load()
        x = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")
        options = dict(threads={threads})
        methods = ["gradient", "lrp", "kernel-shap:samples=60"]
        expected = [model.explain(x, name, **options).values for name in methods]
        def check(loaded):
            found = [loaded.explain(x, name, **options).values for name in methods]
            return all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, expected))
        pid = os.fork()
        if pid == 0:
            signal.alarm(40)
            right = check(model) and check(model) and check(xg.load())
            inner = os.fork()
            if inner == 0:
                os._exit(0 if check(model) else 1)
            _, status = os.waitpid(inner, 0)
            os._exit(0 if right and status == 0 else 1)
        _, status = os.waitpid(pid, 0)
        print("status", status, check(model))
        """
    )
    assert "status 0 True" in output, output


@posix
def test_worker_processes_that_are_forked_can_explain():
    output = run(
        """
        import multiprocessing, numpy as np, exegesis as xg
        model = xg.load()
        x = np.random.default_rng(0).random((6, 1, 28, 28), dtype="float32")
        expected = model.explain(x, "dlbacktrace").values
        def one(row):
            return model.explain(x[row : row + 1], "dlbacktrace").values.copy()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = np.concatenate(pool.map(one, range(6)))
        print(np.abs(found - expected).max() < 1e-5 * np.abs(expected).max())
        """
    )
    assert output.strip().endswith("True"), output


def test_progress_is_shown_where_it_is_asked_for_and_nowhere_else(monkeypatch):
    model = xg.load()
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    model.explain(X, "integrated-gradients:steps=64")
    model.explain(X, "integrated-gradients:steps=64", progress=False)
    assert shown.getvalue() == "", "no terminal, nothing asked for"
    model.explain(X, "integrated-gradients:steps=64", progress=True)
    assert "integrated-gradients" in shown.getvalue() and "260/260" in shown.getvalue()


def test_progress_without_tqdm_is_a_plain_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    xg.load().explain(X, "integrated-gradients:steps=64", progress=True)
    assert "\r" in shown.getvalue() and shown.getvalue().endswith("260/260, 0 s left   \n")


def test_nothing_is_left_on_the_line_after_an_error(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with pytest.raises(xg.errors.UsageError):
        xg.load().explain(X, "integrated-gradients", target=99, progress=True)
    assert shown.getvalue() == ""
