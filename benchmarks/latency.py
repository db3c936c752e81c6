"""Compare the prediction times of a bare network: for one image at a time, and in batches.

The same weights, 784-512-256-10 in float32, run in this project, scikit-learn, PyTorch and onnxruntime; the contestants
take turns, call by call. Reading and preprocessing images is not included, see `benchmarks/predict.py`.

    pip install -e ".[bench]" onnx onnxruntime     # the contestants; missing ones are left out
    python benchmarks/latency.py
    python benchmarks/latency.py --layers 3072 1024 512 10 --threads 1
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from model.config import NetworkConfig
from model.network import class_probabilities
from model.parameters import Parameters, initialize

Predict = Callable[[np.ndarray], np.ndarray]  # images (m, n_x) to probabilities (m, n_classes)


def contestants(parameters: Parameters, network: NetworkConfig, threads: int) -> dict[str, Predict]:
    """Return the prediction function of each contestant, all with the same weights."""
    layers = [parameters[l] for l in range(1, parameters.L + 1)]
    found: dict[str, Predict] = {"ours": lambda X: class_probabilities(X.T, parameters, network).T}

    n_x, *hidden, n_classes = parameters.layer_dims
    model = MLPClassifier(hidden, max_iter=1)
    model.partial_fit(np.zeros((n_classes, n_x), np.float32), np.arange(n_classes), classes=np.arange(n_classes))
    model.coefs_, model.intercepts_ = [W.T for W, _, _ in layers], [b[:, 0] for _, b, _ in layers]
    found["scikit-learn"] = model.predict_proba

    if importlib.util.find_spec("torch"):
        import torch
        from torch import nn

        torch.set_num_threads(threads)
        parts: list[nn.Module] = []
        for W, b, _ in layers:
            linear = nn.Linear(W.shape[1], W.shape[0])
            linear.weight.data, linear.bias.data = torch.from_numpy(W), torch.from_numpy(b[:, 0])
            parts += [linear, nn.ReLU()]
        net = nn.Sequential(*parts[:-1], nn.Softmax(dim=1)).eval()

        def with_torch(X: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return net(torch.from_numpy(X)).numpy()

        found["PyTorch"] = with_torch

    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        nodes, constants, last = [], [], "X"
        for l, (W, b, _) in enumerate(layers, start=1):
            constants += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b[:, 0], f"b{l}")]
            nodes.append(helper.make_node("Gemm", [last, f"W{l}", f"b{l}"], [f"Z{l}"], transB=1))
            kind, last = ("Relu", f"A{l}") if l < len(layers) else ("Softmax", "A")
            nodes.append(helper.make_node(kind, [f"Z{l}"], [last]))
        inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["m", n_x])]
        outputs = [helper.make_tensor_value_info("A", TensorProto.FLOAT, ["m", n_classes])]
        graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(made)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(made.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        found["onnxruntime"] = lambda X: session.run(None, {"X": X})[0]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[784, 512, 256, 10])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=2000, help="calls with one image; fewer with batches")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32, 1024, 10_000])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    network = NetworkConfig(hidden=tuple(options.layers[1:-1]), head="softmax", batch_norm=False)
    parameters = initialize(options.layers, network, rng)
    predictors = contestants(parameters, network, options.threads)
    print(f"{options.threads} threads; layers {'-'.join(map(str, options.layers))}; NumPy {np.__version__}\n")
    print("| Images | Contestant | p50 | p99 | Images per second | Time / ours |\n|--:|---|--:|--:|--:|--:|")
    with threadpool_limits(options.threads):
        for m in options.batch:
            X = rng.random((m, options.layers[0]), dtype=np.float32)
            times: dict[str, list[float]] = {name: [] for name in predictors}
            expected = predictors["ours"](X)
            for predict in predictors.values():  # warms up, and checks that all give the same result
                np.testing.assert_allclose(predict(X), expected, atol=1e-5)
            for _ in range(max(7, options.calls // m)):
                for name, predict in predictors.items():
                    begin = time.perf_counter()
                    predict(X)
                    times[name].append(time.perf_counter() - begin)
            ours = np.median(times["ours"])
            for name, seconds in times.items():
                p50, p99 = np.percentile(seconds, [50, 99])
                print(
                    f"| {m:,} | {name} | {p50 * 1e3:.3f} ms | {p99 * 1e3:.3f} ms | {m / p50:,.0f} | {p50 / ours:.2f} |"
                )


if __name__ == "__main__":
    main()
