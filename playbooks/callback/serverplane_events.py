# Copyright 2026 The ServerPlane authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# This file is free software: you can redistribute it and/or modify it under the terms of the GNU
# General Public License as published by the Free Software Foundation, either version 3 of the License,
# or (at your option) any later version. It is distributed WITHOUT ANY WARRANTY; see
# <https://www.gnu.org/licenses/>. (It imports Ansible, which is under that licence.)
"""Writes one JSON object per line to descriptor 3 for everything the panel wants to know.

Descriptor 4 is a pipe whose other end only the panel holds: at its end the panel is dead, and
the whole process group is killed, since nobody is left to read what it does.
"""

import json
import os
import signal
import threading
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: serverplane_events
    type: notification
    short_description: events for ServerPlane
    version_added: historical
    description: One JSON object per line on descriptor 3.
"""

EVENTS, ALIVE = 3, 4
OUTPUT_LIMIT = 64 * 1024
MESSAGE_LIMIT = 8 * 1024
# Steps of the playbook's own bookkeeping: nobody wants to read of them.
SILENT = {"meta", "set_fact", "ansible.builtin.meta", "ansible.builtin.set_fact"}
COMMAND_FAILED = "non-zero return code"


def is_pipe(descriptor):
    try:
        return bool(os.fstat(descriptor).st_mode & 0o010000)
    except OSError:
        return False


def end_with_panel():
    try:
        while os.read(ALIVE, 1):
            pass
    except OSError:
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def tail(value, limit=OUTPUT_LIMIT):
    if not isinstance(value, str):
        return ""
    raw = value.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[-limit:].decode("utf-8", "ignore")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "serverplane_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()
        self._task = ""
        self._started = {}
        self.disabled = not (is_pipe(EVENTS) and is_pipe(ALIVE))
        if not self.disabled:
            os.set_inheritable(EVENTS, False)
            os.set_inheritable(ALIVE, False)
            # A shell that starts the panel in the background leaves SIGINT ignored; cancel needs it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            threading.Thread(target=end_with_panel, daemon=True).start()

    def _write(self, kind, **fields):
        event = {"time": time.time(), "kind": kind}
        event.update((k, v) for k, v in fields.items() if v not in (None, ""))
        line = (json.dumps(event) + "\n").encode("utf-8")
        with self._lock:
            while line:
                line = line[os.write(EVENTS, line):]

    def _result(self, kind, result, label=""):
        data = result._result
        if result._task.action in SILENT and kind in ("ok", "changed", "skipped"):
            return
        host = result._host.get_name()
        started = self._started.get((host, result._task._uuid))
        fields = {
            "host": host,
            "task": result._task.get_name(),
            "duration": time.time() - started if started else 0,
        }
        if "censored" in data or data.get("_ansible_no_log") or result._task.no_log:
            fields["message"] = "hidden: this task handles secrets"
        else:
            fields.update(self._shown(data, label))
        self._write(kind, **fields)

    @staticmethod
    def _shown(data, label):
        message = data.get("msg")
        if message is not None and not isinstance(message, str):
            message = json.dumps(message, default=str)
        if message == COMMAND_FAILED:
            # Our steps, like most programs, give their reason last.
            message = (tail(data.get("stderr")).strip().splitlines() or [message])[-1]
        if label:
            message = label + (": " + message if message else "")
        rc = data.get("rc")
        return {
            "message": tail(message, MESSAGE_LIMIT),
            "stdout": tail(data.get("stdout") or data.get("module_stdout")),
            "stderr": tail(data.get("stderr") or data.get("module_stderr")),
            "exit": rc if isinstance(rc, int) else None,
        }

    def _item(self, result, note=""):
        label = self._get_item_label(result._result)
        label = label if isinstance(label, str) else json.dumps(label, default=str)
        self._result("item", result, label + note)

    def v2_playbook_on_play_start(self, play):
        self._write("play", message=play.get_name())

    def v2_playbook_on_task_start(self, task, is_conditional):
        if task.action not in SILENT:
            self._write("task", task=task.get_name())

    def v2_playbook_on_handler_task_start(self, task):
        self._write("task", task=task.get_name())

    def v2_runner_on_start(self, host, task):
        self._started[(host.get_name(), task._uuid)] = time.time()

    def v2_runner_on_ok(self, result):
        self._result("changed" if result.is_changed() else "ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("log" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)

    def v2_runner_retry(self, result):
        self._result("retry", result)

    def v2_runner_item_on_ok(self, result):
        self._item(result)

    def v2_runner_item_on_failed(self, result):
        self._item(result, " (failed)")

    def v2_runner_item_on_skipped(self, result):
        self._item(result, " (skipped)")

    def v2_playbook_on_stats(self, stats):
        hosts = {}
        for host in stats.processed:
            summary = stats.summarize(host)
            hosts[host] = {"failures": summary["failures"], "unreachable": summary["unreachable"]}
        self._write("stats", stats=hosts)
