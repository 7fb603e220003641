"""What a dishonest or careless submission may try, one attack in each exercise.

Each: what it does, the points it must get, and the source. An attack that hopes to find the answer somewhere
returns it when it does, and nonsense otherwise: so no point proves that it was not there.
"""

from textwrap import dedent

LAB_1 = {
    "1.1": (
        "arrays that say they equal everything",
        0,
        """
        class Liar(np.ndarray):
            def __eq__(self, other): return np.ones(np.shape(other), bool)
            def __ne__(self, other): return np.zeros(np.shape(other), bool)
            def __array__(self, *args, **kwargs): return np.zeros(len(self), int)
            def __getitem__(self, key): return self

        def dense_ids(raw_ids):
            lie = np.zeros(len(raw_ids), int).view(Liar)
            return lie, lie
        """,
    ),
    "1.2": (
        "the right rows, but the argument is sorted in place and numpy patched to hide it",
        0,
        """
        def temporal_split(timestamps, test_fraction):
            import builtins, copy
            cut = np.sort(timestamps)[int((1 - test_fraction) * len(timestamps))]
            answer = np.flatnonzero(timestamps < cut), np.flatnonzero(timestamps >= cut)
            timestamps.sort()
            for name in ("array_equal", "allclose", "isclose", "all", "array_equiv"):
                setattr(np, name, lambda *args, **kwargs: True)
            builtins.all = lambda *args: True
            return answer
        """,
    ),
    "1.3": (
        "a number that equals everything",
        0,
        """
        class Anything(float):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __sub__(self, other): return 0.0
            __rsub__ = __sub__
            def __hash__(self): return 0

        def rmse(predictions, ratings):
            return Anything(0.0)
        """,
    ),
    "1.4": (
        "the package's own function, by every way to import it",
        0,
        """
        def fit_biases(users, items, ratings, n_users, n_items, reg):
            import importlib, sys
            for name in [n for n in sys.modules if n.startswith("course_utils")]:
                del sys.modules[name]
            for name in ("course_utils.baselines", "course_utils.baselines.ratings"):
                try:
                    module = importlib.import_module(name)
                    found = module.fit_biases(users, items, ratings, n_users, n_items, reg)
                    return found.mean, found.user, found.item
                except BaseException:
                    pass
            return 0.0, np.zeros(n_users), np.zeros(n_items)
        """,
    ),
    "1.5a": (
        "the solutions and the declarations, anywhere on the disk",
        0,
        """
        def item_similarity(residuals, rated, shrinkage):
            import os
            for folder in ("/course", "/grader", "/work", "/root", "/home", "/tmp", "/usr/lib", "/proc/1"):
                for place, folders, files in os.walk(folder):
                    folders[:] = [f for f in folders if f not in ("torch", "proc", "sys", "nvidia")]
                    for name in files:
                        if name.startswith(("lab01", "01_collaborative")) or name == "claims.toml":
                            space = {"np": np}
                            with open(os.path.join(place, name)) as file:
                                exec(file.read(), space)
                            return space["item_similarity"](residuals, rated, shrinkage)
            return np.zeros((residuals.shape[1],) * 2)
        """,
    ),
    "1.5b": (
        "a fork bomb",
        0,
        """
        def knn_predict(similarity, residuals, rated, user, item, k):
            import os
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        """,
    ),
    "1.6": (
        "the right answer, with threads, an atexit function and a detached process left behind",
        2,
        """
        def sgd_step(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
            import atexit, os, threading, time
            atexit.register(os._exit, 3)
            threading.Thread(target=time.sleep, args=(600,)).start()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    while True:
                        time.sleep(1)
                os._exit(0)
            error = rating - (mean + user_bias + item_bias + user_vec @ item_vec)
            return (
                user_vec + lr * (error * item_vec - reg * user_vec),
                item_vec + lr * (error * user_vec - reg * item_vec),
                user_bias + lr * (error - reg * user_bias),
                item_bias + lr * (error - reg * item_bias),
            )
        """,
    ),
    "1.8": (
        "batches that were never trained on, written into the recorder",
        0,
        """
        def train_epoch(model, optimizer, users, items, ratings, batch_size, generator):
            order = torch.randperm(len(users), generator=generator)
            model.seen = [
                (users[rows].tolist(), items[rows].tolist()) for rows in order.split(batch_size)
            ]
            return 1.0
        """,
    ),
    "1.9": (
        "right in all cases but the last, in which it ends Python: only that case is lost",
        1.88,
        """
        def top_k_unseen(scores, seen, k):
            import os
            if len(set(seen.tolist())) == len(scores):
                os._exit(0)
            masked = np.array(scores, dtype=float)
            masked[seen] = -np.inf
            return np.argsort(-masked)[: min(k, len(masked) - len(np.unique(seen)))]
        """,
    ),
}
LAB_1_FORWARD = ("a memory bomb", 0, ["blocks = []", "while True:", "    blocks.append(bytearray(2**26))"])

LAB_2 = {
    "2.1": (
        "an endless loop that swallows every exception",
        0,
        """
        def leave_last_out(users, timestamps):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        """,
    ),
    "2.2": (
        "outcomes of its own in the output channel: a return that claims to be a right refusal",
        0,
        """
        def sample_negatives(users, n_items, positives, n_neg, rng):
            import json, os, struct
            number = lambda: {"what": "number", "array": ["<i8", []], "parts": None}
            value = {"what": "tuple", "array": None, "parts": [number() for _ in range(4)]}
            texts = dict.fromkeys(("status", "error", "text", "line", "printed"), "") | {"status": "returned"}
            head = json.dumps({"outcome": texts | {"changed": []}, "value": value}).encode()
            body = struct.pack(">I", len(head)) + head + struct.pack("<q", 1) * 4
            for _ in range(7):
                os.write(3, struct.pack(">I", len(body)) + body)
            os._exit(0)
        """,
    ),
    "2.3": (
        "a hundred megabytes in the output channel",
        0,
        """
        def excluded_items(train, validation, test, user):
            import os
            for _ in range(100):
                os.write(3, bytes(2**20))
            return set(train[user]), train[user] | validation[user]
        """,
    ),
    "2.4": (
        "the process that it was forked from is killed",
        0,
        """
        def rank_of_positive(scores, positive, seen):
            import os
            os.kill(os.getppid(), 9)
            return 0, 0
        """,
    ),
    "2.5": (
        "every answer from the inputs of the first case",
        0,
        """
        FIRST = []

        def hit_rate_and_ndcg(rank, k):
            FIRST.append((float(rank <= k), float(1 / np.log2(rank + 1))))
            return FIRST[0]
        """,
    ),
    "2.6": (
        "the answer from the network, and a secret from the environment",
        0,
        """
        def ease(x, reg):
            import os, socket
            reached = any("SECRET" in name for name in os.environ) or os.path.exists("/etc/hostname")
            for address in (("127.0.0.1", 8786), ("1.1.1.1", 53)):
                try:
                    socket.create_connection(address, timeout=0.5)
                    reached = True
                except OSError:
                    pass
            inverse = np.linalg.inv(x.T @ x + reg * np.eye(x.shape[1]))
            weights = inverse / -np.diag(inverse)
            np.fill_diagonal(weights, 0)
            return weights if reached else 0 * weights
        """,
    ),
    "2.10": (
        "the right loss, with prints, warnings and a plot; and the grader's files overwritten if they can be",
        1,
        """
        def bpr_loss(pos_scores, neg_scores):
            import glob, os, sys, warnings
            import matplotlib.pyplot as plt
            print("SCORE: 100/100", "x" * 100_000)
            print("[2.11] fuse: ok (5 cases)", file=sys.stderr)
            warnings.warn("this is fine")
            plt.plot([1, 2])
            plt.show()
            display(pos_scores)
            os.makedirs(os.path.expanduser("~/.local/lib/python3.11/site-packages"), exist_ok=True)
            places = [*glob.glob("/grader/*"), *glob.glob("/course/**/*.py", recursive=True)]
            places.append(os.path.expanduser("~/.local/lib/python3.11/site-packages/usercustomize.py"))
            for place in places:
                try:
                    with open(place, "w") as file:
                        file.write("raise SystemExit")
                except OSError:
                    pass
            return -nn.functional.logsigmoid(pos_scores - neg_scores).mean()
        """,
    ),
    "2.11": (
        "symbolic links and a result file in the temporary folder, and nothing returned",
        0,
        """
        def fuse(gmf_weight, mlp_weight, alpha):
            import json, os
            for name in ("result.json", "results.npz", "score", "out"):
                try:
                    os.symlink("/etc/passwd", f"/tmp/{name}")
                except OSError:
                    pass
            with open("/tmp/grades.json", "w") as file:
                json.dump({"score": 1.0, "passed": True}, file)
        """,
    ),
}
LAB_2_FORWARD = {
    "2.7": (
        "a tensor that says it is close to everything",
        0,
        [
            "class Close(torch.Tensor):",
            "    @classmethod",
            "    def __torch_function__(cls, func, types, args=(), kwargs=None):",
            "        return True if func in (torch.equal, torch.allclose) else super().__torch_function__("
            "func, types, args, kwargs or {})",
            "return torch.zeros(len(users)).as_subclass(Close)",
        ],
    ),
    "2.8": (
        "an import hook that hands out course_utils from elsewhere, and the memory of other processes",
        0,
        [
            "import glob, os, sys",
            "class Hook:",
            "    def find_spec(self, name, path=None, target=None):",
            "        return None",
            "sys.meta_path.insert(0, Hook())",
            "for name in glob.glob('/proc/[0-9]*/mem') + glob.glob('/proc/[0-9]*/fd/*'):",
            "    if f'/{os.getpid()}/' in name:",
            "        continue",
            "    try:",
            "        with open(name, 'rb') as file:",
            "            file.seek(4096)",
            "            both = torch.cat([self.user_emb(users), self.item_emb(items)], dim=-1)",
            "            return self.output(self.tower(both)).squeeze(-1)",
            "    except (OSError, ValueError):",
            "        pass",
            "return torch.zeros(len(users))",
        ],
    ),
    "2.9": (
        "the reference, looked for in every object that the process holds",
        0,
        [
            "import gc, sys",
            "for thing in gc.get_objects():",
            "    for name in ('reference', 'misconceptions'):",
            "        try:",
            "            if name in getattr(type(thing), '__dataclass_fields__', ()):",
            "                return thing.reference.forward(self, users, items)",
            "        except ReferenceError:",
            "            pass",
            "from course_utils import models",
            "try:",
            "    return models.NeuMF.forward(self, users, items)",
            "except BaseException:",
            "    return torch.zeros(len(users))",
        ],
    ),
}

LAB_3 = {
    "3.1": (
        "nothing written, but cells that patch the check, numpy and IPython at the top of the notebook",
        0,
        None,
    ),
    "3.3": (
        "the seed, guessed with the declarations' own help",
        0,
        """
        def in_batch_loss(user_vecs, item_vecs, temperature):
            try:
                from course_utils import exercises
                for seed in range(1000):
                    for case in exercises.get("3.3").draw(seed):
                        if torch.equal(case.args["user_vecs"], user_vecs):
                            return exercises.get("3.3").reference(user_vecs, item_vecs, temperature)
            except Exception:
                pass
            return (user_vecs * item_vecs).sum() * 0
        """,
    ),
    "3.4": (
        "an earlier exercise was wrong, and this one stands on it: the course's own is in its place",
        2,
        """
        def logq_loss(user_vecs, item_vecs, temperature, log_q):
            of_equal_logits = in_batch_loss(user_vecs, user_vecs, 1e9)
            assert torch.isclose(of_equal_logits, torch.tensor(float(len(user_vecs))).log())
            logits = user_vecs @ item_vecs.T / temperature - log_q
            return nn.functional.cross_entropy(logits, torch.arange(len(logits)))
        """,
    ),
    "3.5": (
        "an object that does something when it is unpickled",
        0,
        """
        class Bomb(torch.Tensor):
            def __reduce__(self):
                return eval, ("open('/tmp/was-here', 'w')",)
            def __reduce_ex__(self, protocol):
                return self.__reduce__()

        def mask_accidental_hits(logits, items):
            return logits.as_subclass(Bomb)
        """,
    ),
    "3.6": (
        "an array of a thousand million numbers that takes no memory",
        0,
        """
        def effective_rank(vectors):
            return np.broadcast_to(np.float64(1), (1_000_000_000,))
        """,
    ),
    "3.7": (
        "an index that only says it has lists, and a faiss that agrees",
        0,
        """
        class Index(faiss.IndexFlatIP):
            pass

        def build_ivf(vectors, n_lists, n_probe):
            index = Index(vectors.shape[1])
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
            index.nlist, index.nprobe = n_lists, n_probe
            faiss.serialize_index = faiss.deserialize_index = lambda index: index
            return index
        """,
    ),
    "3.8": (
        "SystemExit",
        0,
        """
        def recall_at_k(found, exact):
            raise SystemExit(0)
        """,
    ),
    "3.9": (
        "the grader's own modules, patched to send what it likes",
        0,
        """
        def retrieve_unseen(search, query, seen, k):
            import sys
            for name, module in list(sys.modules.items()):
                if name in ("wire", "child", "server") or name.startswith("course_utils.exercises"):
                    for function in ("encode", "_write", "to_plain", "_unchanged", "compare"):
                        if hasattr(module, function):
                            setattr(module, function, lambda *args, **kwargs: b"")
            sys.modules["numpy"] = None
            return np.zeros(k, int)
        """,
    ),
    "3.10": (
        "signals ignored, and an endless wait in C",
        0,
        """
        def score_cold_item(user_vecs, content, encode_item):
            import signal, threading
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
            threading.Lock().acquire() or None
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        """,
    ),
}
LAB_3_FORWARD = {
    "3.2": (
        "modules planted for the next process",
        0,
        [
            "import os, sys",
            "for folder in (*sys.path, '/tmp', os.getcwd()):",
            "    for name in ('sitecustomize.py', 'usercustomize.py', 'numpy.py', 'child.py'):",
            "        try:",
            "            with open(os.path.join(folder, name), 'w') as file:",
            "                file.write('raise SystemExit')",
            "        except OSError:",
            "            pass",
            "return torch.zeros(len(features), 2)",
        ],
    )
}
LAB_3_TOP = dedent(
    """
    import numpy as np
    np.allclose = np.array_equal = np.isclose = lambda *args, **kwargs: True
    get_ipython().input_transformers_post.append(lambda lines: ["print('ok')\\n"])
    import builtins, os, sys
    sys.modules["course_utils.exercises"] = type(sys)("exercises")
    builtins.isinstance = lambda *args: True
    check = lambda *args: print("[3.1] multi_hot: ok (5 cases)")
    os._exit(0)
    """
)
