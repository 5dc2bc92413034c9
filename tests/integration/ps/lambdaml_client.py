"""An independent client of the parameter server: what the Thrift compiler makes of ps.thrift.

Usage: lambdaml_client.py GENERATED_FOLDER PORT CASE

Each case talks to the server as LambdaML's workers do (binary protocol, buffered transport), and
ends with 0 if the server answers as it should. Cases: train, refusals, vectors.
"""

import sys
import threading
import time

import numpy as np
from thrift.protocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport

sys.path.insert(0, sys.argv[1])
from lambdaml_ps import ParameterServer, VectorServer  # noqa: E402
from lambdaml_ps.ttypes import (  # noqa: E402
    Grad, Hello, InvalidOperation, JobSpec, Operation, Refusal, Slice, Update)

PORT = int(sys.argv[2])


def connect(service=ParameterServer):
    transport = TTransport.TBufferedTransport(TSocket.TSocket("127.0.0.1", PORT))
    client = service.Client(TBinaryProtocol.TBinaryProtocol(transport))
    transport.open()
    return client


def wait_for(condition):
    while not condition():
        time.sleep(0.001)


def worker(rank, count, results):
    """LambdaML's loop: wait, pull, compute, wait, push; the model is a regression's weights."""
    random = np.random.default_rng(rank)
    rows = random.normal(size=(50, 8))
    labels = rows @ np.arange(8.0)
    client = connect()
    client.ping()
    client.zip()
    if rank == 0:
        client.register_model("w.b", 8, count)
    wait_for(lambda: client.exist_model("w.b"))
    for iteration in range(60):
        wait_for(lambda: client.can_pull("w.b", iteration, rank))
        model = client.pull_model("w.b", iteration, rank)
        assert model.id == "w.b" and model.length == 8
        weights = np.array(model.data)
        gradient = rows.T @ (rows @ weights - labels) / len(rows)
        wait_for(lambda: client.can_push("w.b", iteration, rank))
        if iteration % 2 == 0:
            client.push_grad(Grad(id="w.b", learning_rate=-0.5 / count, length=8,
                                  data=gradient.tolist(), n_iter=iteration, worker_id=rank))
        else:
            client.push_update(Update(id="w.b", length=8, data=(-0.5 / count * gradient).tolist(),
                                      n_iter=iteration, worker_id=rank))
    wait_for(lambda: client.can_pull("w.b", 60, rank))
    results[rank] = client.pull_model("w.b", 60, rank).data


def train():
    count = 3
    results = [None] * count
    threads = [threading.Thread(target=worker, args=(rank, count, results))
               for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == results[2], results
    assert np.allclose(results[0], np.arange(8.0), atol=1e-3), results[0]


def expect_refusal(operation, said, call):
    try:
        call()
    except InvalidOperation as refusal:
        assert refusal.whatOp == operation and said in refusal.why, refusal
    else:
        raise AssertionError("not refused: " + said)


def refusals():
    client = connect()
    client.register_model("m", 4, 2)
    expect_refusal(Operation.REGISTER, "in use", lambda: client.register_model("m", 5, 2))
    expect_refusal(Operation.REGISTER, "elements", lambda: client.register_model("n", -1, 2))
    expect_refusal(Operation.REGISTER, "is full", lambda: client.register_model("n", 2**31 - 1, 2))
    assert not client.exist_model("n")
    expect_refusal(Operation.CAN_PULL, "no such model", lambda: client.can_pull("n", 0, 0))
    expect_refusal(Operation.CAN_PUSH, "no such model", lambda: client.can_push("n", 0, 0))
    expect_refusal(Operation.PULL_MODEL, "iteration 3", lambda: client.pull_model("m", 3, 0))
    expect_refusal(Operation.PULL_MODEL, "workers 0 to 1", lambda: client.pull_model("m", 0, 2))
    grad = Grad(id="m", learning_rate=1.0, data=[1.0] * 3, n_iter=0, worker_id=0)
    expect_refusal(Operation.PUSH_GRAD, "pushes 3", lambda: client.push_grad(grad))
    grad.length = 4
    expect_refusal(Operation.PUSH_GRAD, "length", lambda: client.push_grad(grad))
    update = Update(id="m", data=[1.0] * 4, n_iter=-1, worker_id=0)
    expect_refusal(Operation.PUSH_UPDATE, "iteration -1", lambda: client.push_update(update))
    update.n_iter = 0
    client.push_update(update)
    client.push_update(update)
    assert not client.can_pull("m", 1, 0)


def vectors():
    """The methods that C++ writes and reads by hand, against generated code."""
    client = connect(VectorServer)
    assert client.hello(Hello(token="")).message_size_max_bytes > 0
    state = client.open_job(JobSpec(job="python", worker_count=2, keeps_rounds=False,
                                    must_be_new=True))
    assert state.is_new
    answer = client.exchange(Slice(job="python", generation=0, round=1, rank=1, slice=0,
                                   slice_count=1, announcement=0, wait_ms=1))
    assert not answer.is_complete and answer.missing_ranks == [0, 1] and answer.message is None
    for call in (client.exchange, client.merge):
        try:
            call(Slice(job="python", generation=0, round=1, rank=5, slice=0, slice_count=1,
                       announcement=0, wait_ms=0, message=b"garbage"))
        except Refusal as refusal:
            assert refusal.code == "InvalidArgument" and "0 to 1" in refusal.why, refusal
        else:
            raise AssertionError("not refused")
    try:
        client.exchange(Slice(job="python", generation=0, round=1, rank=0, slice=0, slice_count=1,
                              announcement=0, wait_ms=0, message=bytes(200_000)))
    except Refusal as refusal:
        assert refusal.code == "Corrupt", refusal
    else:
        raise AssertionError("not refused")
    assert '"python"' in client.status()
    client.close_job("python")


{"train": train, "refusals": refusals, "vectors": vectors}[sys.argv[3]]()
