"""Runs the stages of cloud-init from one interpreter.

cloud-init starts Python anew for each of its four stages, and under emulation
most of the boot goes by while modules are imported. Here they are imported once;
each stage runs in a fork of this process, so none sees what another left behind.

The units of the stages say when: each writes to STAGE.go and reads the exit status
from STAGE.done (see the script `stage`). A pipe is removed with its stage, so that
a stage that is started again later runs as cloud-init meant it.
"""

import importlib
import os
import sys

PIPES = "/run/cloud-init/stages"
STAGES = {
    "local": ["init", "--local"],
    "network": ["init"],
    "final": ["modules", "--mode=final"],
}
# Large modules that cloud-init does without when they are not there: the checks of
# the seed's form, and the second of two guessers of character sets.
ABSENT = ["chardet", "jsonschema"]
# What later stages need, imported while the first one works.
LATER = [
    "cloudinit.config.cc_bootcmd",
    "cloudinit.config.cc_ca_certs",
    "cloudinit.config.cc_phone_home",
    "cloudinit.config.cc_resizefs",
    "cloudinit.config.cc_runcmd",
    "cloudinit.config.cc_scripts_user",
    "cloudinit.config.cc_set_hostname",
    "cloudinit.config.cc_set_passwords",
    "cloudinit.config.cc_ssh",
    "cloudinit.config.cc_users_groups",
    "cloudinit.config.cc_write_files",
    "cloudinit.config.modules",
    "cloudinit.distros.debian",
    "cloudinit.handlers.boot_hook",
    "cloudinit.handlers.cloud_config",
    "cloudinit.handlers.jinja_template",
    "cloudinit.handlers.shell_script",
    "cloudinit.sources.DataSourceNoCloud",
    "cloudinit.net.networkd",
    "encodings.idna",
]


def wait_for(stage):
    """Blocks until the unit of the stage has started."""
    with open(f"{PIPES}/{stage}.go", "rb") as pipe:
        pipe.read()


def start(main, stage, arguments):
    """Runs a stage in a fork; the fork's process id."""
    child = os.fork()
    if child:
        return child
    if stage == "final":
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # The seed's scripts are nobody special.
    status = 1
    try:
        status = 1 if main(["cloud-init", *arguments]) else 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        print(f"cloud-init: {error!r}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def finish(stage, child):
    """Waits for the stage and tells its unit how it ended."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(f"{PIPES}/{stage}.done", "w") as pipe:
        pipe.write(f"{status if status >= 0 else 1}\n")
    for pipe in ("go", "done"):
        os.unlink(f"{PIPES}/{stage}.{pipe}")


def main():
    os.environ.setdefault("TZ", ":/etc/localtime")
    sys.modules.update(dict.fromkeys(ABSENT))
    run = importlib.import_module("cloudinit.cmd.main").main
    later = list(LATER)
    for stage, arguments in STAGES.items():
        wait_for(stage)
        child = start(run, stage, arguments)
        while later:
            try:
                importlib.import_module(later.pop())
            except ImportError:
                pass  # Another version of cloud-init: the stage imports what it needs.
        finish(stage, child)


main()
