#!/usr/bin/python3
"""A worker pipeline as in the ZeroMQ guide, whose tasks carry keys: three workers in two languages,
each on a node of its own, are killed in the middle of their work again and again. Nothing is lost,
and nothing is done twice unnoticed."""

import collections
import io
import pathlib
import subprocess
import sys

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cli"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from client import Client  # noqa: E402
from harness import KIB, MeshTest, content, die_with_parent, environment, eventually, main  # noqa: E402
from test_interop import install_javascript, javascript  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TASKS, KILLS = 90, 9


class Pipeline(MeshTest):
    size = 3

    def start(self, *words, out=subprocess.DEVNULL):
        process = subprocess.Popen([str(word) for word in words], stdout=out,
                                   env=environment(self.mesh.root), preexec_fn=die_with_parent)
        self.mesh.others.append(process)
        return process

    def start_worker(self, i):
        program = [HERE / "worker.py"] if i == 0 or self.why_not else javascript("worker.mjs")
        return self.start(*program, self.nodes[i].folder, self.pipes)

    def test_workers_are_killed_and_every_task_is_done_once(self):
        self.why_not = install_javascript()
        if self.why_not:
            print(f"SKIPPED, no JavaScript worker: {self.why_not}", file=sys.stderr)
        self.pipes = self.files / "p"
        self.pipes.mkdir()
        source = self.files / "source"
        source.mkdir()
        for i in range(TASKS):
            (source / f"{i:03}").write_bytes(content(200 * KIB, i))
        self.ok(self.nodes[0], "put", "-r", source, "in/")

        said = self.files / "sink.out"
        with open(said, "wb") as out:
            self.start(HERE / "sink.py", self.pipes, out=out)
        workers = [self.start_worker(i) for i in range(3)]
        ventilator = self.start(HERE / "ventilator.py", self.nodes[1].folder, self.pipes,
                                out=subprocess.PIPE)
        for kill in range(KILLS):
            # Whoever is killed has work: tasks are handed out faster than they are done.
            eventually(lambda: len(said.read_text().splitlines()) >= (kill + 1) * 6, "work goes on")
            workers[kill % 3].kill()
            workers[kill % 3].wait()
            workers[kill % 3] = self.start_worker(kill % 3)
        self.assertEqual(0, ventilator.wait(90))
        print(ventilator.communicate()[0].decode().strip(), file=sys.stderr)
        # Tasks that were thought lost and are done late, when their results are there already.
        reported = len(said.read_text().splitlines())
        with zmq.Context() as context, context.socket(zmq.PUSH) as tasks:
            tasks.bind(f"ipc://{self.pipes}/tasks")
            for i in range(6):
                tasks.send_string(f"{i:03}")
            eventually(lambda: len(said.read_text().splitlines()) >= reported + 6, "late results")

        reports = [line.split() for line in said.read_text().splitlines()]
        stored = collections.Counter(task for outcome, task, _ in reports if outcome == "stored")
        everything = {f"{i:03}" for i in range(TASKS)}
        self.assertEqual(everything, {task for _, task, _ in reports})
        self.assertEqual({1}, set(stored.values()), "no result was stored twice")
        self.assertLessEqual(6, sum(outcome == "duplicate" for outcome, *_ in reports))
        languages = {"py"} if self.why_not else {"py", "js"}
        self.assertEqual(languages, {language for *_, language in reports})
        self.assertEqual([f"out/{i:03}" for i in range(TASKS)], self.keys(self.nodes[2], "out/"))
        reader = Client(self.nodes[2].folder)
        for i in range(TASKS):
            result = io.BytesIO()
            reader.get(f"out/{i:03}", result)
            self.assertEqual(content(200 * KIB, i)[::-1], result.getvalue(), i)


if __name__ == "__main__":
    main()
