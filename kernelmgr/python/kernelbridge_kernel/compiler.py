"""How cells are compiled: with Python's own messages, and at once also where they are long."""

import hashlib
import os

from ipykernel.compiler import XCachingCompiler, get_tmp_directory

_ALLOW_INCOMPLETE_INPUT = 0x4000  # codeop's flag: makes every unfinished cell "incomplete input"


class Compiler(XCachingCompiler):
    """ipykernel's compiler for whole cells. The code's file name is a hash of it, as ipykernel's is,
    whose own takes seconds for megabytes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.flags &= ~_ALLOW_INCOMPLETE_INPUT

    def get_code_name(self, raw_code, code, number):
        if name := os.environ.get("IPYKERNEL_CELL_NAME"):
            return name
        digest = hashlib.blake2b(raw_code.encode("utf-8", "surrogatepass"), digest_size=8)
        return f"{get_tmp_directory()}/{digest.hexdigest()}.py"
