"""What vLLM's processes do because this module is mixed into them."""

import os
import subprocess
import sys

ENDING = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 0))
import mstar_models.vllm_worker
"""


def test_its_process_ends_without_looking_for_garbage() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", ENDING], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
